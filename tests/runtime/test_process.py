"""Signals end a command through its clean-up; any name can be printed."""

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from stylejax.runtime import process

ROOT = Path(__file__).resolve().parents[2]
WORK = """
import sys, time
from pathlib import Path
from stylejax.runtime import process
from stylejax.runtime.files import replacing

def work():
  with replacing(Path(sys.argv[1]) / "a.png") as path:
    path.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
  return 0

sys.exit(process.run(work))
"""


def heed_signals():
  """Shells make background jobs ignore Ctrl-C, nohup ignores hangups, and children inherit that."""
  for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize(
  "name, status, words",
  [
    ("SIGTERM", 143, "stopped by SIGTERM"),
    ("SIGHUP", 129, "stopped by SIGHUP"),
    ("SIGINT", 130, "interrupted"),
  ],
)
def test_a_signal_removes_what_is_unfinished(tmp_path, name, status, words):
  started = subprocess.Popen(
    [sys.executable, "-c", WORK, str(tmp_path)],
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    preexec_fn=heed_signals,
  )
  assert started.stdout.readline() == "writing\n"
  started.send_signal(getattr(signal, name))
  _, error = started.communicate(timeout=30)
  # 128 plus the signal's number, as shells report it.
  assert (started.returncode, error) == (status, words + "\n")
  assert os.listdir(tmp_path) == []


def test_a_signal_that_is_ignored_stays_so(tmp_path):
  """As under nohup."""
  code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" + WORK.replace("60", "1")
  started = subprocess.Popen(
    [sys.executable, "-c", code, str(tmp_path)],
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
  )
  assert started.stdout.readline() == "writing\n"
  started.send_signal(signal.SIGHUP)
  _, error = started.communicate(timeout=30)
  assert (started.returncode, error) == (0, "")


def test_what_a_command_wants_at_its_end_outlasts_the_run():
  """Changes to warnings by the work are undone; then a step for the end is called, once."""
  before, seen = len(warnings.filters), []

  def work() -> int:
    warnings.filterwarnings("ignore", "of the work")
    process.at_end(lambda: seen.append(len(warnings.filters)))
    assert not seen
    return 3

  assert process.run(work) == 3
  assert seen == [before]

  def stopped() -> int:
    process.at_end(lambda: seen.append("stopped"))
    raise KeyboardInterrupt

  assert process.run(stopped) == 130 and process.run(lambda: 0) == 0
  assert seen == [before, "stopped"]


def test_the_host_program_gets_its_handlers_back():
  def handlers():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [signal.getsignal(number) for number in numbers], sys.unraisablehook, sys.stdout.errors

  before = handlers()
  assert process.run(lambda: 7) == 7
  assert handlers() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_handler_of_the_host_program_stays(number):
  noted = []
  before = signal.signal(number, lambda *_: noted.append(number))
  try:
    assert process.run(lambda: signal.raise_signal(number) or 7) == 7
  finally:
    signal.signal(number, before)
  assert noted == [number]


AWKWARD = {
  # Raised while C code initializes an extension: numpy 2.4 turns it into an ImportError.
  "import of an extension": """
from importlib.machinery import ExtensionFileLoader

class Finder:
  def find_spec(self, name, path=None, target=None):
    frame, loading = sys._getframe(), ExtensionFileLoader.exec_module.__code__
    while frame is not None and frame.f_code is not loading:
      frame = frame.f_back
    if frame is not None:
      sys.meta_path.remove(self)
      send()

def work():
  sys.meta_path.insert(0, Finder())
  import numpy
""",
  # Nobody catches what is raised in these two: "Exception ignored in", and the program goes on.
  "callback of the garbage collector": """
import gc

def callback(*_):
  gc.callbacks.remove(callback)
  send()

def work():
  gc.callbacks.append(callback)
  gc.collect()
""",
  "destructor": """
class Thing:
  def __del__(self):
    send()

def work():
  Thing()
""",
  # Until Python 3.12 this was a RuntimeError.
  "making of a class": """
class Attribute:
  def __set_name__(self, owner, name):
    send()

def work():
  type("Made", (), {"attribute": Attribute()})
""",
}


@pytest.mark.parametrize(
  "name, status, words",
  [("SIGTERM", 143, "stopped by SIGTERM"), ("SIGINT", 130, "interrupted")],
  ids=["SIGTERM", "SIGINT"],
)
@pytest.mark.parametrize("moment", AWKWARD)
def test_a_signal_at_an_awkward_moment_is_one_line(tmp_path, moment, name, status, words):
  code = f"""
import os, signal, sys, time
from pathlib import Path
from stylejax.runtime import process
from stylejax.runtime.files import replacing

def send():
  print("sent", flush=True)
  os.kill(os.getpid(), signal.{name})
{AWKWARD[moment]}
def writes():
  with replacing(Path(sys.argv[1]) / "a.png"):
    work()
    time.sleep(60)

sys.exit(process.run(writes))
"""
  done = subprocess.run(
    [sys.executable, "-c", code, str(tmp_path)],
    check=False,
    capture_output=True,
    text=True,
    timeout=50,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    preexec_fn=heed_signals,
  )
  assert (done.returncode, done.stdout, done.stderr) == (status, "sent\n", words + "\n")
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
  "words", [["infer.py"], ["train.py", "gan"], ["-m", "stylejax", "paint"]], ids=" ".join
)
def test_ctrl_c_while_it_imports_is_one_line(tmp_path, words):
  # A stand-in for a library that takes long to import.
  (tmp_path / "tyro.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(60)\n")
  started = subprocess.Popen(
    [sys.executable, *words, "--help"],
    cwd=ROOT,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
    preexec_fn=heed_signals,
  )
  assert started.stdout.readline() == "importing\n"
  time.sleep(0.1)
  started.send_signal(signal.SIGINT)
  _, error = started.communicate(timeout=30)
  assert started.returncode == 130
  assert error.startswith("interrupted") and error.count("\n") == 1


@pytest.mark.processes
def test_a_signal_at_any_moment_of_the_imports_is_one_line():
  code = """
import importlib, sys, time
from stylejax.runtime import process

def work():
  print("importing", flush=True)
  importlib.import_module("stylejax.inference.batch")
  print("imported", flush=True)
  time.sleep(20)

sys.exit(process.run(work))
"""
  moments, wrong = random.Random(0), []

  def start():
    started = subprocess.Popen(
      [sys.executable, "-c", code],
      text=True,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      env=os.environ | {"PYTHONPATH": str(ROOT)},
      preexec_fn=heed_signals,
    )
    assert started.stdout.readline() == "importing\n"
    return started, time.monotonic()

  whole, began = start()
  assert whole.stdout.readline() == "imported\n"
  seconds = time.monotonic() - began
  whole.kill()
  whole.communicate()
  for name in ("SIGINT", "SIGTERM") * 8:
    started, _ = start()
    moment = moments.uniform(0, seconds)
    time.sleep(moment)
    number = getattr(signal, name)
    started.send_signal(number)
    error = started.communicate(timeout=120)[1]
    words = "interrupted" if name == "SIGINT" else f"stopped by {name}"
    if (started.returncode, error) != (128 + number, words + "\n"):
      wrong.append((name, round(moment / seconds, 2), started.returncode, error[-300:]))
  assert wrong == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_name_that_the_terminal_lacks_is_escaped(encoding):
  code = (
    "import sys\nfrom stylejax.runtime import process\n"
    "sys.exit(process.run(lambda: print('wrote \\u732b.png') or 0))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code],
    check=False,
    capture_output=True,
    env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
  )
  shown = "猫" if encoding == "utf-8" else "\\u732b"
  assert (done.returncode, done.stdout.decode(encoding)) == (0, f"wrote {shown}.png\n")
