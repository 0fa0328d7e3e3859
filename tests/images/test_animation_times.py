"""Times and loops of a film are kept in GIF, WebP and APNG, as far as each can store them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from stylejax.images import timing
from stylejax.images.frames import Source
from tests.images.animation_files import FORMATS, LENGTHS, film, write, written_lengths


@pytest.mark.parametrize("case", LENGTHS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_lengths_of_the_film_are_kept(tmp_path, suffix, case):
  frames, path = film(LENGTHS[case], side=4), tmp_path / f"a{suffix}"
  notes = write(path, frames)
  lengths = written_lengths(path)
  total = sum(frame.length for frame in frames)
  # A GIF's hundredth, a WebP's millisecond, an APNG's 16-bit fraction (FFmpeg: 1/100,000 s).
  tick = {".gif": Fraction(1, 100), ".webp": Fraction(1, 1000), ".png": Fraction(1, 2000)}[suffix]
  assert abs(sum(lengths) - total) <= tick / 2
  # Browsers show durations of 10 ms and less as 100 ms.
  assert min(lengths) >= (Fraction(2, 100) if suffix == ".gif" else Fraction(11, 1000))
  assert any("left out" in note for note in notes) == (len(lengths) < len(frames)), (
    "what is left out is said"
  )


@pytest.mark.parametrize("suffix", FORMATS)
def test_frames_start_when_they_should(tmp_path, suffix):
  """Rounding doesn't accumulate: each of 300 starts at 29.97 frames/s is within one tick."""
  frames, path = film([Fraction(1001, 30_000)] * 300, side=4), tmp_path / f"a{suffix}"
  write(path, frames)
  starts = np.cumsum([0, *(float(length) for length in written_lengths(path))])
  tick = {".gif": 0.005, ".webp": 0.0005, ".png": 0.0016}[suffix]
  np.testing.assert_allclose(
    starts[:-1], [float(frame.seconds) for frame in frames], atol=tick + 1e-6
  )


@given(
  st.lists(st.fractions(Fraction(1, 2000), 3, max_denominator=90_000), min_size=1, max_size=40),
  st.sampled_from([timing.GIF_CLOCK, timing.WEBP_CLOCK, timing.APNG_CLOCK]),
)
@example([Fraction(1, 2000), Fraction(11, 500)], timing.WEBP_CLOCK)
@settings(max_examples=60, deadline=None)
def test_timelines_add_up(lengths, clock):
  """For any durations: their sum is the film's, each can be written, frames keep their order."""
  timeline, written, seconds = timing.Timeline(clock), [], Fraction(5)
  for number, length in enumerate(lengths):
    written += timeline.add(number, seconds, length)
    seconds += length
  written += timeline.close()
  assert all(length == clock.nearest(length) >= clock.shortest for _, length in written)
  assert [number for number, _ in written] == sorted({number for number, _ in written})
  assert len(written) + timeline.dropped == len(lengths)
  total = sum(length for _, length in written)
  # Half a tick of the format: a film that ends within a tick may be rounded either way.
  rounding = {timing.GIF_CLOCK: Fraction(1, 200), timing.WEBP_CLOCK: Fraction(1, 2000)}
  allowed = rounding.get(clock, Fraction(1, 10**6))
  assert abs(total - max(sum(lengths), clock.shortest)) <= allowed
  start = Fraction(0)
  for number, length in written:
    assert -Fraction(1, 200) <= start - sum(lengths[:number]) <= clock.shortest + Fraction(1, 200)
    start += length


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("plays", [0, 1, 5])
def test_loop_counts_are_kept(tmp_path, suffix, plays):
  write(tmp_path / f"a{suffix}", film([1, 1]), plays=plays)
  assert Source(tmp_path / f"a{suffix}", 25).plays == plays
  # NETSCAPE2.0 counts repeats, WebP and APNG count plays; Pillow returns the files' numbers.
  stored = Image.open(tmp_path / f"a{suffix}").info.get("loop")
  assert stored == ({0: 0, 1: None, 5: 4}[plays] if suffix == ".gif" else plays)
