"""One process at a time; a killed one holds nothing."""

import os
import subprocess
import sys
import time

import pytest

from stylejax.errors import InputError
from stylejax.runtime.locks import lock_path, locked

HOLD = """
import sys, time
from stylejax.runtime.locks import locked
with locked(sys.argv[1], "library"):
  print("held", flush=True)
  time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from stylejax.runtime.locks import locked
path = Path(sys.argv[1])
for _ in range(50):
  with locked(path, "count"):
    path.write_text(str(int(path.read_text()) + 1))
"""


@pytest.fixture
def holder(tmp_path):
  process = subprocess.Popen(
    [sys.executable, "-c", HOLD, str(tmp_path / "a")], text=True, stdout=subprocess.PIPE
  )
  assert process.stdout.readline() == "held\n"
  yield process
  process.kill()
  process.communicate()


def test_the_message_names_who_holds_it_and_a_kill_releases_it(holder, tmp_path):
  with pytest.raises(InputError) as error, locked(tmp_path / "a", "library", patience=0.2):
    pass
  assert f"library {tmp_path}/a: found it in use by process {holder.pid} on " in str(error.value)
  holder.kill()
  holder.wait()
  assert lock_path(tmp_path / "a").exists()
  with locked(tmp_path / "a", "library", patience=0.2):
    pass
  assert os.listdir(tmp_path) == []


def test_nothing_is_counted_twice(tmp_path):
  path = tmp_path / "count"
  path.write_text("0")
  started = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(4)]
  assert [process.wait() for process in started] == [0] * 4
  assert path.read_text() == "200"
  assert os.listdir(tmp_path) == ["count"]


def test_a_link_and_its_target_are_one(tmp_path):
  (tmp_path / "a").touch()
  (tmp_path / "link").symlink_to("a")
  with (
    locked(tmp_path / "a", "library"),
    pytest.raises(InputError, match="found it in use by process"),
    locked(tmp_path / "link", "library", patience=0),
  ):
    pass


def test_an_error_releases_it(tmp_path):
  with pytest.raises(KeyError), locked(tmp_path / "a", "library"):
    raise KeyError
  start = time.monotonic()
  with locked(tmp_path / "a", "library"):
    assert time.monotonic() - start < 5


def test_a_missing_folder(tmp_path):
  with (
    pytest.raises(InputError, match="No such file or directory for the lock beside it"),
    locked(tmp_path / "no" / "a", "library"),
  ):
    pass
