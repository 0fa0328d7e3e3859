"""`python -m stylejax` runs the command where its script isn't on the path."""

import sys

from stylejax.cli.main import main
from stylejax.cli.options import MODULE

if __name__ == "__main__":
  sys.exit(main(spelling=MODULE))
