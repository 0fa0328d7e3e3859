"""Signals end a command through its clean-up; any name can be printed."""

import os
import signal
import subprocess
import sys
import time
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
  """A shell has its background jobs ignore Ctrl-C, and nohup hangups; children inherit that."""
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
  # 128 and the signal's number, as a shell says it.
  assert (started.returncode, error) == (status, words + "\n")
  assert os.listdir(tmp_path) == []


def test_a_signal_that_is_ignored_stays_so(tmp_path):
  """As nohup has it."""
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


def test_the_host_program_gets_its_handlers_back():
  before = signal.getsignal(signal.SIGTERM), sys.stdout.errors
  assert process.run(lambda: 7) == 7
  assert (signal.getsignal(signal.SIGTERM), sys.stdout.errors) == before


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
