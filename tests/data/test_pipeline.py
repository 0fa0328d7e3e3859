"""Batches: the same bytes for any start, process share and number of workers; and bad files."""

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylejax.data.pipeline import make_batches, prefetch_to_device
from stylejax.errors import InputError

SIZE = 16


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  """Five content and three style images of noise, all different."""
  root = tmp_path_factory.mktemp("images")
  paths = {}
  for name, count, offset in (("content", 5, 0), ("style", 3, 100)):
    paths[name] = []
    for number in range(count):
      rng = np.random.default_rng(offset + number)
      pixels = rng.integers(0, 256, (40 + number, 48, 3)).astype(np.uint8)
      path = root / f"{name}{number}.png"
      Image.fromarray(pixels).save(path)
      paths[name].append(path)
  return paths


def batches(folders, **changes):
  arguments = {"batch": 4, "size": SIZE, "seed": 3} | changes
  content = arguments.pop("content", folders["content"])
  style = arguments.pop("style", folders["style"])
  return make_batches(content, style, **arguments)


def take(source, count):
  got = list(itertools.islice(source, count))
  source.close()
  return got


def assert_same(left, right):
  assert len(left) == len(right)
  for one, other in zip(left, right, strict=True):
    assert set(one) == set(other)
    for name in one:
      np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def flat_paths(tmp_path, count):
  """Images of one color each, so that a crop tells its file: level 10 · number."""
  paths = []
  for number in range(count):
    path = tmp_path / f"{number:02}.png"
    Image.new("RGB", (30, 24), (10 * number,) * 3).save(path)
    paths.append(path)
  return paths


def test_shapes_types_and_index(folders):
  got = take(batches(folders), 3)
  for step, batch in enumerate(got):
    assert set(batch) == {"content", "style", "index"}
    for name in ("content", "style"):
      assert batch[name].shape == (4, SIZE, SIZE, 3) and batch[name].dtype == np.uint8
      assert type(batch[name]) is np.ndarray
    assert batch["index"].dtype == np.int32
    assert batch["index"].tolist() == [4 * step + position for position in range(4)]


def test_the_seed_decides_everything(folders):
  first = take(batches(folders), 4)
  assert_same(first, take(batches(folders), 4))
  other = take(batches(folders, seed=4), 4)
  assert not np.array_equal(first[0]["content"], other[0]["content"])


def test_one_stream_is_the_same_with_or_without_the_other(folders):
  both = take(batches(folders), 3)
  for name in ("content", "style"):
    missing = {"content": "style", "style": "content"}[name]
    alone = take(batches(folders, **{missing: None}), 3)
    assert set(alone[0]) == {name, "index"}
    for one, other in zip(both, alone, strict=True):
      np.testing.assert_array_equal(one[name], other[name])


def test_each_epoch_is_a_new_permutation(tmp_path):
  paths = flat_paths(tmp_path, 12)
  got = take(make_batches(paths, paths, batch=12, size=8, seed=0), 6)
  orders = {}
  for name in ("content", "style"):
    orders[name] = [tuple((batch[name][:, 0, 0, 0] // 10).tolist()) for batch in got]
    for order in orders[name]:
      assert sorted(order) == list(range(12))
    assert len(set(orders[name])) == 6
  assert not set(orders["content"]) & set(orders["style"])


def test_crops_of_one_file_differ_between_epochs_and_streams(folders):
  path = folders["content"][:1]
  got = take(batches(folders, content=path, style=path, content_scale=(1, 2.5)), 2)
  images = [image for batch in got for name in ("content", "style") for image in batch[name]]
  crops = [image.tobytes() for image in images]
  assert len(set(crops)) == len(crops) == 16


def test_half_of_the_crops_are_mirrored(tmp_path):
  ramp = np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[None, :, None], 16, 0)
  Image.fromarray(np.repeat(ramp, 3, -1)).save(tmp_path / "ramp.png")
  got = take(make_batches([tmp_path / "ramp.png"], None, batch=64, size=8, seed=0), 1)[0]
  mirrored = (got["content"][:, 0, 0, 0] > got["content"][:, 0, -1, 0]).sum()
  assert 16 < mirrored < 48


def test_any_step_is_reached_directly(folders):
  whole = take(batches(folders), 6)
  assert_same(whole[4:], take(batches(folders, start_step=4), 2))
  far = take(batches(folders, start_step=10**8), 1)[0]
  assert far["index"].tolist() == [4 * 10**8 + position for position in range(4)]


def test_start_step_decodes_nothing_before_it(folders, monkeypatch):
  opened = []
  original = Image.open
  monkeypatch.setattr(Image, "open", lambda p, **k: opened.append(p) or original(p, **k))
  take(batches(folders, start_step=50), 1)
  # One batch of two streams, and what is prefetched after it.
  assert 8 <= len(opened) <= 8 * 6


def test_processes_read_slices_of_the_single_process_batch(folders):
  whole = take(batches(folders), 4)
  parts = [
    take(batches(folders, process_index=index, process_count=2, start_step=1), 3)
    for index in range(2)
  ]
  joined = [
    {name: np.concatenate([one[name], other[name]]) for name in one}
    for one, other in zip(*parts, strict=True)
  ]
  assert parts[0][0]["content"].shape[0] == 2
  assert_same(whole[1:], joined)


def test_state_goes_through_json_and_other_layouts(folders):
  source = batches(folders)
  whole = list(itertools.islice(source, 3))
  state = json.loads(json.dumps(source.state()))
  whole += take(source, 3)
  assert state["step"] == 3
  assert_same(whole[3:], take_restored(batches(folders), state, 3))
  used = batches(folders)
  next(used)
  assert_same(whole[3:], take_restored(used, state, 3))
  half = take_restored(batches(folders, process_index=1, process_count=2), state, 1)[0]
  np.testing.assert_array_equal(half["style"], whole[3]["style"][2:])


def take_restored(source, state, count):
  source.restore(state)
  return take(source, count)


def test_a_state_of_another_run_is_refused_and_a_grown_folder_logged(folders, caplog):
  state = batches(folders).state()
  with pytest.raises(InputError, match="--seed: found 9, expected 3"):
    batches(folders, seed=9).restore(state)
  with pytest.raises(InputError, match="--batch: found 2, expected 4"):
    batches(folders, batch=2).restore(state)
  with caplog.at_level(logging.WARNING, "stylejax"):
    batches(folders, style=folders["style"][:2]).restore(state)
  assert "the folders changed" in caplog.text


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"batch": 0}, "--batch: found 0"),
    ({"batch": 5, "process_count": 2}, "--batch: found 5, expected a multiple of the 2"),
    ({"size": 0}, "--size: found 0"),
    ({"seed": -1}, "--seed: found -1"),
    ({"start_step": -1}, "step: found -1"),
    ({"workers": -1}, "--workers: found -1"),
    ({"process_index": 1}, "process index: found 1"),
    ({"content": None, "style": None}, "neither content nor style"),
    ({"content": []}, "empty list"),
  ],
)
def test_wrong_numbers_are_named(folders, change, message):
  with pytest.raises(InputError, match=message):
    batches(folders, **change)


def test_bad_files_are_skipped_counted_and_named_once(tmp_path, caplog):
  paths = flat_paths(tmp_path, 4)
  paths[1].write_bytes(b"nothing")
  paths[2].write_bytes(paths[2].read_bytes()[:60])
  with caplog.at_level(logging.WARNING, "stylejax"):
    source = make_batches(paths, paths, batch=4, size=8, seed=0)
    got = take(source, 3)
  assert set(source.skipped) == {str(paths[1]), str(paths[2])}
  lines = [record.getMessage() for record in caplog.records]
  assert len(lines) == 2
  for path in (paths[1], paths[2]):
    assert sum(line.startswith(f"skipped unreadable file {path}: ") for line in lines) == 1
  for batch in got:
    assert set(batch) == {"content", "style", "index"}
    # Files 1 and 2 are replaced by 3: each epoch has 0 once and 3 three times.
    assert sorted((batch["content"][:, 0, 0, 0] // 10).tolist()) == [0, 3, 3, 3]


def test_nothing_readable_is_one_line(tmp_path):
  paths = flat_paths(tmp_path, 2)
  for path in paths:
    path.write_bytes(b"nothing")
  source = make_batches(paths, None, batch=2, size=8, seed=0)
  with pytest.raises(InputError, match="found no readable image") as caught:
    next(source)
  assert "\n" not in str(caught.value)
  source.close()


def test_a_closed_iterator_says_so(folders):
  source = batches(folders)
  next(source)
  source.close()
  source.close()
  with pytest.raises(ValueError, match="closed"):
    next(source)


# A program as users write one: no absl, a main guard, workers started from it.
PROGRAM = """
import json, logging, sys
import numpy as np
from stylejax.data.pipeline import make_batches

def main():
  arguments = json.loads(sys.argv[1])
  source = make_batches(arguments.pop("content"), arguments.pop("style"), **arguments)
  got = [next(source) for _ in range(4)]
  assert all(type(value) is np.ndarray for batch in got for value in batch.values())
  np.savez(sys.argv[2], skipped=sorted(source.skipped), **{
    f"{name}{step}": value for step, batch in enumerate(got) for name, value in batch.items()
  })
  if "stay" in sys.argv:
    import multiprocessing, time
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    time.sleep(60)
  source.close()

if __name__ == "__main__":
  main()
"""


def program(tmp_path, paths, *words, workers):
  script = tmp_path / "train_like.py"
  script.write_text(textwrap.dedent(PROGRAM))
  names = [str(path) for path in paths]
  arguments = {"content": names, "style": names, "batch": 3, "size": 8, "seed": 1}
  arguments |= {"start_step": 2, "workers": workers}
  root = str(Path(__file__).parents[2])
  return subprocess.Popen(
    [sys.executable, str(script), json.dumps(arguments), str(tmp_path / "out.npz"), *words],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {"PYTHONPATH": root, "JAX_PLATFORMS": "cpu"},
  )


def test_workers_give_the_same_batches(tmp_path):
  paths = flat_paths(tmp_path, 4)
  paths[2].write_bytes(b"nothing")
  want = take(make_batches(paths, paths, batch=3, size=8, seed=1, start_step=2), 4)
  process = program(tmp_path, paths, workers=2)
  _, errors = process.communicate(timeout=300)
  assert process.returncode == 0, errors
  got = np.load(tmp_path / "out.npz")
  assert got["skipped"].tolist() == [str(paths[2])]
  assert errors.count("skipped unreadable file") == 1
  assert_same(want, [{name: got[f"{name}{step}"] for name in want[0]} for step in range(4)])


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_workers_end_with_a_killed_parent(tmp_path):
  process = program(tmp_path, flat_paths(tmp_path, 3), "stay", workers=1)
  workers = [int(word) for word in process.stdout.readline().split()]
  assert len(workers) == 1
  os.kill(workers[0], signal.SIGINT)  # Ctrl-C reaches workers too, and must not end them.
  time.sleep(0.5)
  process.kill()
  _, errors = process.communicate()
  assert "KeyboardInterrupt" not in errors
  deadline = time.monotonic() + 20
  while is_running(workers[0]) and time.monotonic() < deadline:
    time.sleep(0.05)
  assert not is_running(workers[0])


def is_running(process_id: int) -> bool:
  try:
    os.kill(process_id, 0)
  except ProcessLookupError:
    return False
  status = Path(f"/proc/{process_id}/stat")
  return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


class Counter:
  """An iterator that counts how far it was read."""

  def __init__(self, stop=None):
    self.read = 0
    self.stop = stop

  def __iter__(self):
    return self

  def __next__(self):
    if self.stop is not None and self.read >= self.stop:
      raise StopIteration
    self.read += 1
    return self.read


def wait_until(condition):
  deadline = time.monotonic() + 10
  while not condition() and time.monotonic() < deadline:
    time.sleep(0.005)
  assert condition()


def test_prefetch_keeps_order_and_depth():
  source = Counter()
  with prefetch_to_device(source, lambda x: x * 10, depth=2) as ready:
    wait_until(lambda: source.read == 2)
    time.sleep(0.05)
    assert source.read == 2
    assert next(ready) == 10
    wait_until(lambda: source.read == 3)
    assert [next(ready) for _ in range(50)] == [10 * n for n in range(2, 52)]


def test_prefetch_ends_with_its_source():
  assert list(prefetch_to_device(Counter(stop=5), lambda x: x, depth=3)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("where", ["source", "put"])
def test_prefetch_passes_errors_on_in_order(where):
  def broken():
    yield 1
    yield 2
    if where == "source":
      raise InputError("b: found x, expected y")
    yield 3

  def put(value):
    if value == 3:
      raise InputError("b: found x, expected y")
    return value

  ready = prefetch_to_device(broken(), put)
  assert [next(ready), next(ready)] == [1, 2]
  for _ in range(2):
    with pytest.raises(InputError, match="found x"):
      next(ready)
  ready.close()


def test_prefetch_closes_cleanly():
  before = set(threading.enumerate())
  for used in (0, 1, 5):
    source = Counter()
    ready = prefetch_to_device(source, lambda x: x)
    list(itertools.islice(ready, used))
    ready.close()
    ready.close()
    read = source.read
    time.sleep(0.02)
    assert source.read == read
    with pytest.raises(StopIteration):
      next(ready)
  assert set(threading.enumerate()) <= before  # some of other tests' may have ended
  with pytest.raises(ValueError, match="depth"):
    prefetch_to_device(Counter(), lambda x: x, depth=0)
