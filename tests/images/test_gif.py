"""GIF: how frames are put together, times, loops, transparency and palettes, in and out.

Expected values come from GIF89a and from FFmpeg's decoder.
"""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from stylejax.errors import InputError
from stylejax.images import animation, decode, encode
from stylejax.images.frame import Frame
from stylejax.images.frames import Source
from tests.images.animation_cases import GIF_CASES, SMALL
from tests.images.animation_files import (
  GREEN,
  LENGTHS,
  NONE,
  RED,
  as_rgba,
  by_ffmpeg,
  film,
  gif,
  patched,
  plain,
  read,
  write,
  written_lengths,
)


@pytest.mark.parametrize("case", GIF_CASES)
def test_gif_frames_are_put_together(tmp_path, case):
  images, expected, same_in_ffmpeg = GIF_CASES[case]
  path = tmp_path / "a.gif"
  path.write_bytes(gif((4, 4), images))
  source, frames, notes = read(path)
  np.testing.assert_array_equal([as_rgba(frame) for frame in frames], expected)
  if same_in_ffmpeg:
    np.testing.assert_array_equal(by_ffmpeg(path), expected)
  assert notes == [] and source.total == len(images)
  assert source.has_alpha or all(frame.alpha is None for frame in frames)


def test_gif_still_that_does_not_fill_its_screen(tmp_path):
  """As in animations, what the image doesn't cover is invisible (also in browsers)."""
  path = tmp_path / "a.gif"
  for transparent, middle in ((None, GREEN), (1, NONE)):
    path.write_bytes(gif((4, 4), [(1, 1, SMALL, 10, 0, transparent)]))
    actual = decode.read_image(path)
    np.testing.assert_array_equal(as_rgba(actual), patched(NONE, ((1, 1), middle)))
    np.testing.assert_array_equal(as_rgba(read(path)[1][0]), as_rgba(actual))


def test_gif_interlaced_and_with_palettes_of_its_frames(tmp_path):
  """Like ImageMagick's files: each frame has its own table; Pillow writes interlaced rows."""
  rng = np.random.default_rng(0)
  pixels = [rng.integers(0, 256, (32, 24, 3)).astype(np.uint8) for _ in range(3)]
  images = [Image.fromarray(frame).quantize(200) for frame in pixels]
  images[0].save(
    tmp_path / "a.gif", save_all=True, append_images=images[1:], interlace=1, optimize=False
  )
  images[2].save(tmp_path / "still.gif", interlace=1)
  _, frames, _ = read(tmp_path / "a.gif")
  expected = [np.asarray(image.convert("RGBA")) for image in images]
  np.testing.assert_array_equal([as_rgba(frame) for frame in frames], expected)
  np.testing.assert_array_equal(as_rgba(read(tmp_path / "still.gif")[1][0]), expected[2])


def test_gif_beyond_its_edge_is_cut_off_and_said(tmp_path):
  path = tmp_path / "a.gif"
  path.write_bytes(gif((4, 4), [(0, 0, plain(0), 10, 1, None), (3, 3, SMALL, 10, 1, None)]))
  _, frames, notes = read(path)
  expected = patched(RED)
  expected[3, 3] = (*GREEN, 255)
  np.testing.assert_array_equal(as_rgba(frames[1]), expected)
  assert len(notes) == 1 and "frame 2 reaches beyond the edge of 4×4" in notes[0]


def test_gif_that_goes_on_with_something_else_is_said(tmp_path):
  path = tmp_path / "a.gif"
  path.write_bytes(gif((4, 4), [(0, 0, plain(0), 10, 1, None)] * 2, end=b"\x07rubbish"))
  _, frames, notes = read(path)
  assert len(frames) == 2 and len(notes) == 1 and "the byte 7 after frame 2" in notes[0]


@pytest.mark.parametrize("length", [5, 12, 20, 30, 45, 60])
def test_gif_cut_is_refused(tmp_path, length):
  path, whole = tmp_path / "a.gif", gif((4, 4), [(0, 0, plain(0), 10, 1, None)] * 2)
  path.write_bytes(whole[:length])
  with pytest.raises(InputError, match=r"a.gif: found a damaged|not an image|not an image"):
    read(path)


def test_gif_bomb_in_a_later_frame_is_refused(tmp_path):
  """The size of the second of two small frames is overwritten with 2,000 × 2,000."""
  content = bytearray(gif((4, 4), [(0, 0, plain(0), 10, 1, None)] * 2))
  second = content.rindex(b",\0\0\0\0\x04\0\x04\0")
  content[second + 5 : second + 9] = (2000).to_bytes(2, "little") * 2
  (tmp_path / "a.gif").write_bytes(content)
  with pytest.raises(InputError, match="found 2000×2000 pixels"):
    list(animation.AnimationReader(tmp_path / "a.gif", Fraction(25), print, max_pixels=10**6))


def test_gif_of_no_delay_is_shown_as_browsers_do(tmp_path):
  """0 and 1 hundredth are 100 ms in browsers (WebKit bug 36082: "a duration of 100 ms for any
  frames that specify a duration of <= 10 ms"); FFmpeg 8 does so for 0 alone."""
  path = tmp_path / "a.gif"
  path.write_bytes(
    gif((4, 4), [(0, 0, plain(n), delay, 1, None) for n, delay in enumerate((0, 1, 2, 300))])
  )
  _source, frames, notes = read(path)
  assert [frame.length * 100 for frame in frames] == [10, 10, 2, 300]
  assert [frame.seconds * 100 for frame in frames] == [0, 10, 20, 22]
  assert notes == [
    f"{path}: found 2 of 4 frames that ask for 10 ms or less; each is shown for "
    "100 ms, as in browsers"
  ]


@pytest.mark.parametrize("loops, plays", [(None, 1), (0, 0), (1, 2), (7, 8)])
def test_gif_counts_repeats_not_plays(tmp_path, loops, plays):
  path = tmp_path / "a.gif"
  path.write_bytes(gif((4, 4), [(0, 0, plain(n), 10, 1, None) for n in range(2)], loops=loops))
  assert read(path)[0].plays == plays


def test_gif_of_30_and_of_60_frames_a_second(tmp_path):
  """3, 4, 3 … hundredths: 60 frames in 2.00 s. Beyond 50 frames/s, frames are dropped."""
  write(tmp_path / "30.gif", film(LENGTHS["30 fps"]))
  lengths = [length * 100 for length in written_lengths(tmp_path / "30.gif")]
  assert lengths[:6] == [3, 4, 3, 3, 4, 3] and sum(lengths) == 200 and len(lengths) == 60
  notes = write(tmp_path / "60.gif", film(LENGTHS["60 fps"]))
  lengths = [length * 100 for length in written_lengths(tmp_path / "60.gif")]
  assert lengths == [2] * 50
  assert notes == ["left out 10 of 60 frames: GIF shows at most 50 a second"]


@pytest.mark.parametrize("count", [1, 2, 3, 200, 255, 256])
def test_gif_of_few_colors_keeps_them_all(tmp_path, count):
  rng = np.random.default_rng(3)
  colors = np.unique(rng.integers(0, 1 << 24, 2 * count))[:count]
  colors = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], -1).astype(np.uint8)
  pixels = [
    colors[rng.permutation(np.arange(32 * 32) % count)].reshape(32, 32, 3) for _ in range(3)
  ]
  write(
    tmp_path / "a.gif",
    [
      Frame(frame / np.float32(255), Fraction(n, 10), Fraction(1, 10))
      for n, frame in enumerate(pixels)
    ],
  )
  np.testing.assert_array_equal([frame[..., :3] for frame in by_ffmpeg(tmp_path / "a.gif")], pixels)
  np.testing.assert_array_equal(
    [as_rgba(frame)[..., :3] for frame in Source(tmp_path / "a.gif", 25)], pixels
  )


def test_gif_keeps_what_is_invisible(tmp_path):
  frames = [
    Frame(
      np.ones((8, 8, 3), np.float32) * 0.5,
      Fraction(n, 10),
      Fraction(1, 10),
      (np.arange(64).reshape(8, 8) % 3 == n).astype(np.float32),
    )
    for n in range(3)
  ]
  notes = write(tmp_path / "a.gif", frames, has_alpha=True)
  for frame, before in zip(by_ffmpeg(tmp_path / "a.gif"), frames, strict=True):
    np.testing.assert_array_equal(frame[..., 3], before.alpha * 255)
    np.testing.assert_array_equal(frame[..., :3][frame[..., 3] > 0], 128)
  assert notes == []
  soft = [Frame(frame.rgb, frame.seconds, frame.length, frame.alpha * 0.6) for frame in frames]
  notes = write(tmp_path / "a.gif", soft, has_alpha=True)
  assert len(notes) == 1 and "no partly transparent pixels" in notes[0]


def steady_scene():
  """Eight frames of a smooth scene with noise of 1.3 levels, in which a square moves."""
  rng = np.random.default_rng(4)
  y, x = np.mgrid[0:96, 0:128] / 128
  base = np.stack([0.5 + 0.4 * np.sin(9 * x + 3 * y), 0.2 + 0.6 * y, 0.9 - 0.8 * x], -1)
  frames = np.clip(base + rng.normal(0, 1.3 / 255, (8, *base.shape)), 0, 1).astype(np.float32)
  for number, frame in enumerate(frames):
    frame[40:56, 10 * number : 10 * number + 16] = (1, 0.9, 0.1)
  return frames


def unsteadiness(frames):
  """(mean change in levels, share of changed pixels) above the moving square."""
  change = np.abs(np.diff(np.array(frames, float)[:, :40, :, :3], axis=0)).mean(-1)
  return change.mean(), (change > 0).mean()


def test_gif_is_as_steady_as_its_frames(tmp_path):
  """With one palette, and colors that stay until another is clearly better, still parts change
  less than in the frames themselves. A palette per frame, measured too, more than doubles the
  change."""
  frames = steady_scene()
  write(
    tmp_path / "a.gif",
    [Frame(frame, Fraction(n, 10), Fraction(1, 10)) for n, frame in enumerate(frames)],
  )
  pixels = [encode.as_bytes(frame) for frame in frames]
  change, share = unsteadiness(by_ffmpeg(tmp_path / "a.gif"))
  change_before, _ = unsteadiness(pixels)
  alone, share_alone = unsteadiness(
    [np.asarray(Image.fromarray(frame).quantize(256).convert("RGB")) for frame in pixels]
  )
  assert change < change_before / 2 and share < 0.1
  assert alone > 2 * change_before and share_alone > 0.5


def test_gif_colors_are_near(tmp_path):
  frames = steady_scene()
  write(
    tmp_path / "a.gif",
    [Frame(frame, Fraction(n, 10), Fraction(1, 10)) for n, frame in enumerate(frames)],
  )
  actual = np.array(by_ffmpeg(tmp_path / "a.gif"), float)[..., :3]
  assert np.sqrt(((actual - 255 * frames) ** 2).mean()) < 6
  assert abs((actual - 255 * frames).mean()) < 1  # no shift as a whole


def test_gif_of_an_interpolation_has_one_palette_and_keeps_alpha(tmp_path):
  """animation.write_frames, for --interpolate way.gif: still pixels stay, 80 ms each."""
  frames, alpha = steady_scene()[:4], np.ones((96, 128), np.float32)
  alpha[:10] = 0
  animation.write_frames(tmp_path / "way.gif", list(frames))
  assert unsteadiness(by_ffmpeg(tmp_path / "way.gif"))[1] < 0.3
  assert [length * 100 for length in written_lengths(tmp_path / "way.gif")] == [8] * 4
  animation.write_frames(tmp_path / "way.gif", list(frames), alpha=alpha)
  for frame in by_ffmpeg(tmp_path / "way.gif"):
    np.testing.assert_array_equal(frame[..., 3], alpha * 255)
