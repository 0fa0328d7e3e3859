"""Stylize images from a checkout: what `stylejax paint` does, and other commands by their flags."""

import sys

from stylejax.cli.paint import infer as main

if __name__ == "__main__":
  sys.exit(main())
