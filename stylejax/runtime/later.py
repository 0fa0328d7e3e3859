"""Work that nobody waits for: a process of its own that goes on after a command has ended."""

import os
import subprocess
import sys
from pathlib import Path

from stylejax.errors import InputError


def compile_later() -> None:
  """Starts a process that compiles what has run in quick programs, at the lowest priority."""
  package = Path(__file__).resolve().parents[2]
  paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
  subprocess.Popen(
    [sys.executable, "-m", __name__],
    env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
  )


def main() -> int:
  """What that process does."""
  if hasattr(os, "nice"):
    os.nice(19)
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.program_cache import compile_pending

  enable_cache()
  try:
    compile_pending()
  except InputError:  # another process is at it
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
