"""Importing stylejax changes nothing for the program that does it.

Tested in two processes: one imports every module, to see which other packages are imported too; the
other imports those packages first, and compares the process's state before and after ours.
"""

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import stylejax

ROOT = Path(stylejax.__file__).parent.parent
MODULES = sorted(
  module.name
  for module in pkgutil.walk_packages(stylejax.__path__, "stylejax.")
  if not module.name.endswith("__main__")
)

SNAPSHOT = """
import importlib, json, logging, os, random, signal, sys, threading, warnings

def state():
  import jax, numpy
  loggers = {"root": logging.getLogger(), **logging.Logger.manager.loggerDict}
  return {
    "loggers": {
      name: [logger.level, len(logger.handlers), len(logger.filters), logger.propagate,
             logger.disabled]
      for name, logger in loggers.items() if isinstance(logger, logging.Logger)
    },
    "hooks": [repr(each) for each in (
      warnings.showwarning, sys.excepthook, sys.unraisablehook, threading.excepthook,
      sys.displayhook, sys.stdout, sys.stderr, sys.stdout.errors,
    )],
    "warnings": [repr(entry) for entry in warnings.filters],
    "signals": {number.name: repr(signal.getsignal(number)) for number in signal.valid_signals()
                if isinstance(number, signal.Signals)},
    "environment": dict(os.environ),
    "jax": {name: repr(value) for name, value in jax.config.values.items()},
    "path": sys.path,
    "random": [repr(random.getstate()[1][:5]), repr(numpy.random.get_state()[1][:5])],
    "numpy": repr(numpy.geterr()),
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "folder": os.getcwd(),
  }
"""

COMPARE = (
  SNAPSHOT
  + """
others, ours = json.load(sys.stdin)
for name in others:
  try:
    importlib.import_module(name)
  except Exception:  # a part of a package that can only be imported by it
    pass
before = state()
for name in ours:
  importlib.import_module(name)
after = state()
# A logger that nobody had asked for is as good as none while it has no settings.
plain = [0, 0, 0, True, False]
changed = {
  kind: {
    key: [before[kind].get(key), after[kind].get(key)]
    for key in {*before[kind], *after[kind]} if before[kind].get(key) != after[kind].get(key)
  } if isinstance(before[kind], dict) else [before[kind], after[kind]]
  for kind in before if before[kind] != after[kind]
}
changed["loggers"] = {
  name: pair for name, pair in changed.get("loggers", {}).items() if pair != [None, plain]
}
print(json.dumps({kind: found for kind, found in changed.items() if found}))
"""
)


def child(code, given):
  done = subprocess.run(
    [sys.executable, "-c", code],
    input=json.dumps(given),
    check=True,
    capture_output=True,
    text=True,
    cwd=ROOT,
  )
  return json.loads(done.stdout.splitlines()[-1])


def test_importing_every_module_changes_nothing():
  others = child(
    "import importlib, json, sys\n"
    "for name in json.load(sys.stdin):\n  importlib.import_module(name)\n"
    "print(json.dumps([name for name in sys.modules if name.split('.')[0] != 'stylejax']))",
    MODULES,
  )
  assert "jax" in others and len(MODULES) > 80
  assert child(COMPARE, [others, MODULES]) == {}


def test_the_names_alone_import_nothing():
  """`import stylejax` is quick: names are looked up on first use."""
  code = (
    "import json, sys\nimport stylejax\njson.load(sys.stdin)\n"
    "print(json.dumps([name for name in sys.modules if name.split('.')[0] in ('jax', 'numpy')]))"
  )
  assert child(code, None) == []


def test_what_is_of_films_imports_no_flax():
  """Data classes of films are Python's own; nets are imported only where they are traced."""
  code = (
    "import json, sys\nimport stylejax.keyframes, stylejax.motion, stylejax.temporal\n"
    "json.load(sys.stdin)\nprint(json.dumps([*sys.modules]))"
  )
  actual = child(code, None)
  assert "jax" in actual and not {"flax", "optax"} & set(actual)


def test_no_module_calls_what_changes_the_process_at_its_top():
  """Also calls without visible effect: a filter added twice, a level that is set already."""
  calls = {"setLevel", "addHandler", "filterwarnings", "simplefilter", "signal", "update", "seed"}
  allowed = {("update", "dict")}
  actual = []
  for path in sorted((ROOT / "stylejax").rglob("*.py")):
    for statement in ast.parse(path.read_text()).body:
      if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        continue
      actual += [
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in calls
      ]
  assert not actual and allowed
