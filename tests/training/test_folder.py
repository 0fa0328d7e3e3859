"""Runs in storage, and locks: a kill at any moment leaves a whole checkpoint; runs are alone."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

import fsspec
import pytest

from stylejax.errors import InputError
from stylejax.runtime import leases, stores
from stylejax.training import checkpoint, mirror
from stylejax.training.folder import open_folder

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(params=["memory", "file"])
def place(request, tmp_path, monkeypatch):
  """A URL of fsspec's store in memory, which users can't ask for, or of a folder."""
  monkeypatch.setitem(stores.SCHEMES, "memory", None)
  if request.param == "file":
    yield f"file://{tmp_path}/store/run"
  else:
    yield "memory://store/run"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def quick(monkeypatch):
  """Leases that are renewed every fraction of a second."""
  for name, seconds in (("BEAT", 0.05), ("DEAD_AFTER", 0.5), ("_SETTLE", 0.05)):
    monkeypatch.setattr(leases, name, seconds)


def write_checkpoint(local: Path, step: int) -> None:
  """Writes what matters here of an Orbax checkpoint: files, and their checksums beside them."""
  folder = local / "checkpoints" / str(step)
  data = {"state/a": bytes([step]) * 100, "state/deep/b": b"", "position/c": str(step).encode()}
  for name, content in data.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
  (folder / "_METADATA").write_text("{}")
  (folder / checkpoint.SUMS).write_text(
    json.dumps({name: [len(content), zlib.crc32(content)] for name, content in data.items()})
  )


class Free:
  """A lease that nobody takes over."""

  def check(self):
    pass

  confirm = check


class Killed(BaseException):
  pass


class Dying(stores.Store):
  """A store whose process is killed at its n-th write or removal."""

  def __init__(self, store, moment):
    super().__init__(store._files, store._root, store.url)
    self.moment = moment

  def _tick(self):
    self.moment -= 1
    if self.moment < 0:
      raise Killed

  def write(self, *arguments):
    self._tick()
    super().write(*arguments)

  def upload(self, *arguments):
    self._tick()
    super().upload(*arguments)

  def remove(self, *arguments):
    self._tick()
    super().remove(*arguments)


def live(store, folder: Path, steps) -> None:
  """A run that continues from what is stored, saves at some steps and waits after each."""
  mirror.fetch(store, folder)
  with mirror.Mirror(folder, store, Free(), keep=2) as copy:
    copy._thread.stop()  # only calls made here copy, so that moments can be counted
    for step in steps:
      with (folder / "metrics.jsonl").open("a") as metrics:
        metrics.write(f"{step}\n")
      write_checkpoint(folder, step)
      copy.finish_copying()


def test_a_kill_at_any_moment_keeps_a_whole_checkpoint(place, tmp_path):
  store = stores.open_store(place, flag="--workdir")
  moment, ended = 0, False
  while not ended:
    for name in store.list():
      store.remove(name)
    base = tmp_path / f"base{moment}"
    base.mkdir()
    live(store, base, [10, 20])
    folder = tmp_path / f"run{moment}"
    folder.mkdir()
    try:
      live(Dying(store, moment), folder, [30, 40])
      ended = True
    except Killed:
      pass
    newest = mirror.stored_steps(store)[0]
    actual = tmp_path / f"found{moment}"
    actual.mkdir()
    mirror.fetch(store, actual)
    assert newest in (20, 30, 40)
    assert checkpoint.saved_steps(actual) == [newest]
    assert checkpoint.damage(actual / "checkpoints" / str(newest) / checkpoint.SUMS) is None
    assert (actual / "checkpoints" / str(newest) / "state" / "a").read_bytes() == bytes(
      [newest]
    ) * 100
    # Metrics reach at least to the checkpoint, so a resumed run lacks none.
    assert str(newest) in (actual / "metrics.jsonl").read_text().split()
    # The next run continues, and leaves nothing of the killed one.
    after = tmp_path / f"after{moment}"
    after.mkdir()
    live(store, after, [50])
    assert mirror.stored_steps(store) == [50, max(newest, 20)]
    steps = {name.split("/")[1] for name in store.list("checkpoints")}
    assert steps == {"50", str(newest)}
    moment += 1
  assert newest == 40 and moment > 20


def test_a_damaged_checkpoint_comes_with_the_one_before_and_is_set_aside(place, tmp_path):
  store = stores.open_store(place, flag="--workdir")
  first, second = tmp_path / "first", tmp_path / "second"
  first.mkdir()
  second.mkdir()
  live(store, first, [10, 20])
  store.write("checkpoints/20/state/a", b"other bytes")
  mirror.fetch(store, second)
  assert checkpoint.saved_steps(second) == [20, 10]
  with mirror.Mirror(second, store, Free(), keep=2) as copy:
    (second / "damaged").mkdir()
    (second / "checkpoints" / "20").rename(second / "damaged" / "20")
    copy.finish_copying()
  assert mirror.stored_steps(store) == [10]
  assert store.read("damaged/20/state/a") == b"other bytes"


def test_storage_that_fails_for_a_while_is_tried_again_and_then_told(place, tmp_path, monkeypatch):
  monkeypatch.setattr(mirror, "_FIRST_PAUSE", 0.01)
  store = stores.open_store(place, flag="--workdir")
  upload, failures = stores.Store.upload, []

  def fail(self, path, name):
    if len(failures) < most:
      failures.append(name)
      raise OSError(f"{self.url}/{name}: found no route, expected storage")
    upload(self, path, name)

  monkeypatch.setattr(stores.Store, "upload", fail)
  (tmp_path / "run").mkdir()
  most = 3
  live(store, tmp_path / "run", [10])
  assert mirror.stored_steps(store) == [10] and len(failures) == 3
  most = 1000
  (tmp_path / "other").mkdir()
  with pytest.raises(OSError, match="found no route.*; the checkpoint of step 10 is there$"):
    live(store, tmp_path / "other", [20])


def test_one_training_holds_a_folder_in_storage(place, quick, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
  (tmp_path / "temporary").mkdir()
  with (
    open_folder(place).held(keep=1),
    pytest.raises(InputError) as caught,
    open_folder(place).held(keep=1),
  ):
    pass
  message = str(caught.value)
  assert message.startswith(f"--workdir: found {place} in use by process {os.getpid()} on ")
  assert " since 20" in message and "\n" not in message
  assert f"{place}: process {os.getpid()} on" in capsys.readouterr().out
  with open_folder(place).held(keep=1):
    pass
  assert stores.open_store(place, flag="").list() == []
  assert not list((tmp_path / "temporary").iterdir())


def test_the_lease_of_a_dead_process_is_taken_over(place, quick):
  store = stores.open_store(place, flag="--workdir")
  said = []
  # The lease of another machine, whose processes can't be seen from here.
  store.write("lease.json", b'{"host": "pod-7", "pid": 1, "process": "other-1-1"}')
  with leases.leased(store, "lease.json", "--workdir", say=said.append) as lease:
    lease.confirm()
  (line,) = said
  assert "process 1 on pod-7" in line and "waiting up to" in line
  # The lease of a process of this machine, known to be dead: there is nothing to wait for.
  tell = "from stylejax.runtime import temporary; print(temporary.identity())"
  child = subprocess.run(
    [sys.executable, "-c", tell],
    capture_output=True,
    text=True,
    check=True,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
  )
  store.write("lease.json", json.dumps({"process": child.stdout.strip()}).encode())
  with leases.leased(store, "lease.json", "--workdir", say=pytest.fail):
    pass
  for nonsense in (b"\xff", b"[]", b"{}"):
    store.write("lease.json", nonsense)
    with leases.leased(store, "lease.json", "--workdir", say=said.append):
      pass
  assert store.list() == []


def test_of_several_that_start_at_once_one_holds_the_lease(place, quick):
  store = stores.open_store(place, flag="--workdir")
  for stale in (False, True):
    if stale:
      store.write("lease.json", b'{"host": "gone"}')
    held, refused, go = [], [], threading.Barrier(4)

    def run(held=held, refused=refused, go=go):
      go.wait()
      try:
        with leases.leased(store, "lease.json", "--workdir", say=lambda line: None):
          held.append(1)
          time.sleep(2)
      except InputError:
        refused.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    assert (len(held), len(refused)) == (1, 3)


def test_who_loses_its_lease_stops(place, quick):
  store = stores.open_store(place, flag="--workdir")
  with leases.leased(store, "lease.json", "--workdir") as lease:
    lease.check()
    store.write("lease.json", b'{"host": "thief", "pid": 5, "token": "x"}')
    end = time.monotonic() + 60
    with pytest.raises(OSError, match="process 5 on thief since None has taken it over"):
      while time.monotonic() < end:  # until the next renewal, even on a busy machine
        lease.check()
        time.sleep(0.05)
  # It leaves the other's lease alone.
  assert json.loads(store.read("lease.json"))["host"] == "thief"


HOLD = """
import sys, time
from stylejax.training.folder import open_folder
with open_folder(sys.argv[1]).held(keep=1):
  print("held", flush=True)
  time.sleep(600)
"""


def test_a_killed_training_releases_its_folder(tmp_path):
  workdir = tmp_path / "new" / "run"
  holder = subprocess.Popen(
    [sys.executable, "-c", HOLD, str(workdir)],
    text=True,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    stdout=subprocess.PIPE,
  )
  assert holder.stdout.readline() == "held\n"
  with pytest.raises(InputError) as caught, open_folder(str(workdir)).held(keep=1):
    pass
  message = str(caught.value)
  assert f"--workdir {workdir}: found it in use by process {holder.pid} on " in message
  assert " since 20" in message and "\n" not in message
  holder.send_signal(signal.SIGKILL)
  holder.wait()
  with open_folder(str(workdir)).held(keep=1):
    pass
  assert not list(workdir.iterdir())


def test_what_fails_leaves_no_folder_behind(tmp_path):
  with pytest.raises(ZeroDivisionError), open_folder(str(tmp_path / "a" / "b")).held(keep=1):
    1 / 0  # noqa: B018
  assert not list(tmp_path.iterdir())
  (tmp_path / "file").touch()
  with (
    pytest.raises(InputError, match="--workdir"),
    open_folder(str(tmp_path / "file")).held(keep=1),
  ):
    pass


@pytest.mark.parametrize(
  "url, words",
  [
    ("ftp://host/run", "expected a local folder or a URL of gs://, s3://, file://"),
    ("memory://bucket/run", "expected a local folder or a URL of gs://, s3://, file://"),
    (
      "gs://bucket/run",
      "found no package to write gs://bucket/run with .*pip install 'gcsfs>=.*'`",
    ),
    ("s3://bucket/run", "found no package to write s3://bucket/run with .*pip install 's3fs>=.*'`"),
    ("gs://", "expected gs://BUCKET/FOLDER"),
  ],
)
def test_places_that_can_not_be_used_are_refused_at_once(url, words, monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  for package in ("gcsfs", "s3fs"):
    monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(InputError, match=words) as caught:
    open_folder(url)
  assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
