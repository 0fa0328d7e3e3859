"""Processes that watch each other: who is gone, who is stuck, and who is merely slow."""

import json
import time

import jax
import pytest

from stylejax.runtime import distributed, watch

DEADLINE = 1.2


class Store(dict):
  """The store that jax.distributed shares among processes, in one process."""

  def key_value_set(self, key, value, allow_overwrite=False):
    assert allow_overwrite
    self[key] = value

  def key_value_dir_get(self, key):
    return [(name, value) for name, value in self.items() if name.startswith(key)]

  def sign(self, process, count, place):
    self[f"stylejax/watch/{process}"] = json.dumps([count, place])


@pytest.fixture
def store(monkeypatch):
  """The store of three processes, of which this is the first."""
  monkeypatch.setattr(distributed, "several", lambda: True)
  monkeypatch.setattr(jax, "process_count", lambda: 3)
  return Store()


def watched(store, seconds, others, *, limited=True, end=True):
  """What is said within so many seconds, while this process stays at step 7."""
  lines = []
  with watch.Watch(deadline=DEADLINE, store=store, end=lines.append) as looked_after:
    looked_after.note("step 7", limited=limited)
    start, count = time.monotonic(), 0
    while not lines and time.monotonic() - start < seconds:
      count += 1
      for process, place in others.items():
        store.sign(process, count, place)
      time.sleep(0.02)
  return lines


def test_a_process_without_a_sign_of_life_is_named(store):
  store.sign(2, 5, "step 6")
  assert watched(store, 30, {1: "step 7"}) == [
    "process 2 (last at step 6) is gone: it gives no sign of life"
  ]


def test_one_that_never_gave_a_sign_is_named_too(store):
  assert watched(store, 30, {}) == [
    "processes 1 (last at start), 2 (last at start) are gone: they give no sign of life"
  ]


def test_when_all_live_it_is_said_what_each_is_at(store):
  (line,) = watched(store, 30, {1: "step 7", 2: "the checkpoint of step 6"})
  assert line.startswith("--deadline: found no end of step 7 in ")
  assert line.endswith(
    "expected one in 1.2 s: process 0 at step 7, process 1 at step 7, "
    "process 2 at the checkpoint of step 6"
  )


def test_what_may_take_longer_and_who_is_done_are_left_alone(store):
  store.sign(2, 5, "done")
  assert watched(store, 3 * DEADLINE, {1: "step 7"}, limited=False) == []
  assert json.loads(store["stylejax/watch/0"])[1] == "done"


def test_progress_is_no_stall(store):
  lines = []
  with watch.Watch(deadline=DEADLINE, store=store, end=lines.append) as looked_after:
    start = time.monotonic()
    while time.monotonic() - start < 3 * DEADLINE:
      looked_after.note("step")
      time.sleep(0.02)
  assert lines == []


def test_an_error_of_a_collective_is_blamed_on_who_is_gone(store):
  store.sign(1, 1, "step 7")
  lines = []
  with (
    pytest.raises(ValueError, match="Gloo"),
    watch.Watch(deadline=DEADLINE, store=store, end=lines.append) as looked_after,
  ):
    store.sign(2, 1, "done")
    looked_after.note("step 7")
    raise ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer")
  assert lines == ["process 1 (last at step 7) is gone: it gives no sign of life"]


def test_a_store_that_does_not_answer_is_process_0(store):
  def refuse(*_, **__):
    raise jax.errors.JaxRuntimeError("UNAVAILABLE: Socket closed\nat length")

  looked_after = watch.Watch(deadline=DEADLINE, store=store)
  store.key_value_set = refuse
  assert (
    looked_after._check() == "process 0 is gone: it doesn't answer (UNAVAILABLE: Socket closed)"
  )


def test_a_lone_process_is_not_watched():
  with watch.Watch(deadline=DEADLINE) as looked_after:
    looked_after.note("step 1")
    assert looked_after._thread is None
