"""Runs a benchmark by name: `python -m benchmarks NAME [OPTIONS]`; without a name, lists them."""

import ast
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> None:
  """Runs the named benchmark with the rest of the command line."""
  modules = {
    path.stem: path for path in sorted(FOLDER.glob("*/[!_]*.py")) if "__main__" in path.read_text()
  }
  name = sys.argv[1] if len(sys.argv) > 1 else None
  if name in modules:
    del sys.argv[1]
    # alter_sys lets tyro find the options' help in the module's source.
    folder = modules[name].parent.name
    runpy.run_module(f"benchmarks.{folder}.{name}", run_name="__main__", alter_sys=True)
  elif name in (None, "-h", "--help"):
    print("usage: python -m benchmarks NAME [OPTIONS]\n")
    for key, path in modules.items():
      print(f"  {key:13} {ast.get_docstring(ast.parse(path.read_text())).splitlines()[0]}")
  else:
    print(
      f"error: benchmark: found {name!r}, expected one of {', '.join(modules)}", file=sys.stderr
    )
    sys.exit(2)


if __name__ == "__main__":
  main()
