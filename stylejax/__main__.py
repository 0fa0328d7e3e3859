"""`python -m stylejax`: the command where its script is not on the path."""

import sys

from stylejax.cli.main import main
from stylejax.cli.options import MODULE

if __name__ == "__main__":
  sys.exit(main(spelling=MODULE))
