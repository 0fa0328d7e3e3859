"""Background work in a separate process, which continues after a command has ended."""

import os
import subprocess
import sys
from pathlib import Path

from stylejax.errors import InputError


def compile_later() -> None:
  """Starts a process at lowest priority that fully compiles what was only compiled quickly."""
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
  """Entry point of that process; returns its exit status."""
  if hasattr(os, "nice"):
    os.nice(19)
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.program_cache import compile_pending

  enable_cache()
  try:
    compile_pending()
  except InputError:  # another process is already doing it
    return 1
  return 0


if __name__ == "__main__":
  sys.exit(main())
