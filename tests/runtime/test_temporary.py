"""Files that killed processes leave are removed; files that a process may still write stay."""

import os
import signal
import subprocess
import sys
import time

import pytest

from stylejax.runtime import files, temporary
from stylejax.runtime.temporary import sweep, temporary_path

WRITE = """
import sys, time
from pathlib import Path
from stylejax.runtime.files import replacing
with replacing(Path(sys.argv[1]) / "a.png") as path:
  path.write_bytes(b"half")
  print("writing", flush=True)
  time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
  """A process in the middle of writing a.png."""
  process = subprocess.Popen(
    [sys.executable, "-c", WRITE, str(tmp_path)], text=True, stdout=subprocess.PIPE
  )
  assert process.stdout.readline() == "writing\n"
  yield process
  process.kill()
  process.communicate()


def test_a_killed_process_leaves_a_file_that_the_next_start_removes(writer, tmp_path):
  (unfinished,) = os.listdir(tmp_path)
  sweep(tmp_path)
  assert os.listdir(tmp_path) == [unfinished]  # it is still being written
  writer.send_signal(signal.SIGKILL)
  os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)  # dead, and its parent hasn't noticed
  files.check_apart([tmp_path / "b.png"], [])
  assert os.listdir(tmp_path) == []


def test_a_folder_goes_with_what_is_in_it(tmp_path, monkeypatch):
  monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)  # beyond the largest number on Linux
  folder = temporary_path(tmp_path)
  folder.mkdir()
  (folder / "000001.png").write_bytes(b"x")
  sweep(tmp_path)
  assert os.listdir(tmp_path) == []


def test_a_number_given_to_another_process_is_found_out(tmp_path):
  path = temporary_path(tmp_path)
  path.touch()
  sweep(tmp_path)
  assert path.exists()
  head, pid, start, tail = path.name.rsplit("-", 3)
  earlier = tmp_path / f"{head}-{pid}-{int(start) - 1}-{tail}"  # this process started later
  path.rename(earlier)
  sweep(tmp_path)
  assert not earlier.exists()


@pytest.mark.parametrize(
  "name",
  [
    ".stylejax-0123456789ab-1-1-01234567.tmp",  # another machine's, container's or boot's
    ".stylejax-99999999-01234567.tmp",  # as versions before this one called them
  ],
)
def test_files_of_processes_that_cannot_be_seen_stay_for_a_week(tmp_path, name):
  path = tmp_path / name
  path.touch()
  sweep(tmp_path)
  assert path.exists()
  week_ago = time.time() - temporary.ABANDONED_AFTER - 60
  os.utime(path, (week_ago, week_ago))
  sweep(tmp_path)
  assert not path.exists()


def test_no_other_name_is_touched(tmp_path):
  long_ago = 0
  names = [".stylejax-files.json", "a.tmp", ".stylejax", "stylejax-1-2.tmp", ".a.png"]
  for name in names:
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (long_ago, long_ago))
  sweep(tmp_path)
  assert sorted(os.listdir(tmp_path)) == sorted(names)
  sweep(tmp_path / "missing")
