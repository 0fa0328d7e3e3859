"""Train from a checkout: what `stylejax train` does."""

import sys

from stylejax.cli.train import script as main

if __name__ == "__main__":
  sys.exit(main())
