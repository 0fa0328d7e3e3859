"""Threads that read ahead or repeat: in order, bounded, ended, with errors where they occur."""

import threading
import time

import pytest

from stylejax.runtime.background import ReadAhead, Repeating, ahead


def living(name):
  return [thread for thread in threading.enumerate() if thread.name == name]


def wait_until(condition):
  end = time.monotonic() + 10
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.005)


def test_ahead_keeps_the_order_and_the_depth():
  asked, done = [], []

  def items():
    for number in range(12):
      asked.append(number)
      yield number

  def function(number):
    time.sleep(0.02 * (number % 3 == 0))  # later ones end before earlier ones
    return -number

  for number, result in ahead(function, items(), threads=3, depth=4):
    done.append((number, result))
    assert len(asked) <= len(done) + 4
  assert done == [(number, -number) for number in range(12)]


def test_ahead_raises_in_its_turn_and_starts_no_more():
  def function(number):
    if number == 2:
      raise KeyError(number)
    return number

  actual = []
  with pytest.raises(KeyError, match="2"):
    for number, _ in ahead(function, iter(range(100)), threads=2, depth=2):
      actual.append(number)
  assert actual == [0, 1]


def test_read_ahead_gives_all_and_is_bounded():
  read = []

  def items():
    for number in range(10):
      read.append(number)
      yield number

  with ReadAhead(items(), depth=3, name="of a test") as ready:
    wait_until(lambda: len(read) == 3)
    time.sleep(0.05)
    assert len(read) == 3
    assert list(ready) == list(range(10))
  assert not living("of a test")


def test_read_ahead_passes_errors_on_and_repeats_them():
  def items():
    yield 1
    raise OSError("disk")

  ready = ReadAhead(items(), depth=1, name="of a test")
  assert next(ready) == 1
  for _ in range(2):
    with pytest.raises(OSError, match="disk"):
      next(ready)
  ready.close()
  with pytest.raises(StopIteration):
    next(ready)


def test_read_ahead_needs_room():
  with pytest.raises(ValueError, match="depth: found 0"):
    ReadAhead(iter(()), depth=0, name="of a test")


def test_repeating_ends_with_its_block():
  calls = []
  with Repeating(lambda: calls.append(0), every=lambda: 0.001, name="of a test").running():
    wait_until(lambda: len(calls) > 3)
  count = len(calls)
  time.sleep(0.02)
  assert len(calls) == count and not living("of a test")


def test_repeating_ends_by_itself():
  calls = []

  def work():
    calls.append(0)
    return len(calls) < 3

  repeating = Repeating(work, every=lambda: 0.001, name="of a test")
  repeating.start()
  wait_until(lambda: not living("of a test"))
  assert len(calls) == 3 and not repeating.stopped
  repeating.stop()


def test_a_pause_is_cut_short():
  paused = []
  repeating = Repeating(
    lambda: paused.append(repeating.pause(60)), every=lambda: 0.001, name="of a test"
  )
  with repeating.running():
    time.sleep(0.05)
  assert paused == [True]
