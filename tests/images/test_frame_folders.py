"""Folders of frames: their order, their rates, and the list of times beside them."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from stylejax.errors import InputError
from stylejax.images import ffconcat
from stylejax.images.frames import Source, writer
from tests.images.animation_files import BLUE, RED, film, read, write


def folder_of(tmp_path, files):
  folder = tmp_path / "frames"
  folder.mkdir()
  for number, name in enumerate(files):
    Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / name)
  return folder


@pytest.mark.parametrize(
  "names",
  [
    ["1.png", "2.png", "10.png", "11.png"],
    ["a 9.png", "a 10.png", "b 1.png"],
    ["img007.png", "img8.png", "img09.png", "img0010.png"],
    ["t1.5.png", "t1.10.png", "t2.1.png"],
  ],
)
def test_folder_sorts_numbers_as_numbers(tmp_path, names):
  folder = folder_of(tmp_path, names)
  actual = [round(float(frame.rgb[0, 0, 0]) * 255) for frame in Source(folder, 1)]
  assert actual == list(range(len(names)))


def test_folder_of_mixed_formats_is_one_sequence_and_said(tmp_path):
  folder = folder_of(tmp_path, ["1.png", "2.jpg", "3.webp", "4.png"])
  source, frames, notes = read(folder, rate=2)
  assert len(frames) == source.total == 4
  assert [frame.seconds for frame in frames] == [0, Fraction(1, 2), 1, Fraction(3, 2)]
  assert len(notes) == 1 and "in 3 formats (2 PNG, 1 JPEG, 1 WEBP)" in notes[0]


def test_folder_with_an_animation_in_it_is_said(tmp_path):
  folder = folder_of(tmp_path, ["1.png"])
  images = [Image.new("RGB", (16, 16), color) for color in (RED, BLUE)]
  images[0].save(folder / "2.png", save_all=True, append_images=images[1:], duration=50)
  _, frames, notes = read(folder)
  assert len(frames) == 2 and any("several images each (2.png)" in note for note in notes)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_folder_keeps_alpha(tmp_path, suffix):
  folder = tmp_path / "frames"
  folder.mkdir()
  pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 4)).astype(np.uint8)
  pixels[:8, :, 3] = 0
  for number in range(2):
    Image.fromarray(pixels).save(folder / f"{number}.{suffix}", lossless=True, exact=True)
  source, frames, _ = read(folder)
  assert source.has_alpha
  np.testing.assert_array_equal(np.rint(frames[0].alpha * 255), pixels[..., 3])
  with writer(tmp_path / "out", source, frames[0].rgb.shape) as target:
    for frame in frames:
      target.write(frame)
  actual, visible = np.asarray(Image.open(tmp_path / "out" / "000002.png")), pixels[..., 3] > 0
  np.testing.assert_array_equal(actual[..., 3], pixels[..., 3])
  np.testing.assert_array_equal(actual[visible], pixels[visible])


def test_folder_of_one_rate_says_which(tmp_path):
  """Times in whole milliseconds, as in Matroska, still count as a single rate."""
  lengths = [Fraction(n, 1000) for n in (33, 33, 34) * 10]
  notes = write(tmp_path / "out", film(lengths))
  assert notes == ["a folder holds no times: its 30 frames are meant to be shown at 30 a second"]
  assert max(path.name for path in (tmp_path / "out").glob("*")) == "000030.png"
  assert write(tmp_path / "again", film(lengths), timed=False) == []


def test_folder_of_several_rates_keeps_them_in_a_list(tmp_path):
  """FFmpeg's concat demuxer and a later run can read that list."""
  lengths = [Fraction(n, 30_000) for n in (1001, 3003, 900, 60_000)]
  notes = write(tmp_path / "out", film(lengths))
  assert len(notes) == 1 and "frames.ffconcat beside the frames" in notes[0]
  with av.open(str(tmp_path / "out" / "frames.ffconcat"), format="concat") as file:
    starts = [float(packet.pts * packet.time_base) for packet in file.demux(video=0) if packet.size]
  expected = [float(sum(lengths[:n])) for n in range(4)]
  np.testing.assert_allclose(np.array(starts) - starts[0], expected, atol=0.021)  # in 25ths
  source, frames, notes = read(tmp_path / "out")
  np.testing.assert_allclose(
    [float(frame.length) for frame in frames], [float(length) for length in lengths], atol=1e-6
  )
  assert abs(sum(frame.length for frame in frames) - sum(lengths)) < Fraction(1, 10**6)
  assert source.timed and notes == [
    f"{tmp_path / 'out'}: frames are shown for as long as frames.ffconcat says"
  ]


def test_folder_with_a_list_of_other_files_says_so(tmp_path):
  folder = folder_of(tmp_path, ["1.png", "2.png"])
  ffconcat.write(folder, ["1.png", "3.png"], [Fraction(1), Fraction(2)])
  source, frames, notes = read(folder, rate=4)
  assert [frame.length for frame in frames] == [Fraction(1, 4)] * 2 and not source.timed
  assert len(notes) == 1 and "other files than are there; each is shown for 0.25 s" in notes[0]


@pytest.mark.parametrize(
  "line",
  [
    "duration x",
    "duration 0",
    "duration -1",
    "duration 1/0",
    "duration nan",
    "duration 1e999999999",
    "stream",
  ],
)
def test_folder_with_a_damaged_list_is_refused(tmp_path, line):
  folder = folder_of(tmp_path, ["1.png"])
  (folder / "frames.ffconcat").write_text(f"ffconcat version 1.0\nfile 1.png\n{line}\n")
  with pytest.raises(InputError, match="line 3: found .*, expected a file and then its duration"):
    Source(folder, 25)


def numbered(folder, numbers, *, name="f{}.png", size=(24, 32)):
  folder.mkdir()
  for number in numbers:
    pixels = np.full((*size, 3), 10 + number % 200, np.uint8)
    Image.fromarray(pixels).save(folder / name.format(number))
  return folder


@pytest.mark.parametrize("damage", ["another size", "cut png", "cut jpeg"])
def test_folder_is_looked_through_before_its_first_frame(tmp_path, damage):
  folder = numbered(tmp_path / "in", range(1, 4))
  last = folder / "f3.png"
  if damage == "another size":
    Image.new("RGB", (16, 24)).save(last)
    words = r"frame 3 \(f3.png\): found 16×24 pixels, expected 32×24 as in the first"
  else:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    path = last if damage == "cut png" else folder / "f3.jpg"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    words = f"{path.name}: found a damaged image .the file is truncated"
    if path != last:
      last.unlink()
  with pytest.raises(InputError, match=words):
    Source(folder, 25)


HOLES = {
  "1 2 4 10 11": ([1, 2, 4, 10, 11], "6 of the numbers from 1 to 11 have no frame (3, 5, 6, …)"),
  "steps of ten with a hole": ([0, 10, 20, 40], "1 of the numbers from 0 to 40 have no frame (30)"),
  "steps of ten": ([0, 10, 20, 30], None),
  "from 1001 on": ([1001, 1002, 1003], None),
}


@pytest.mark.parametrize("numbers, words", HOLES.values(), ids=HOLES)
def test_folder_names_the_numbers_that_are_missing(tmp_path, numbers, words):
  source = Source(numbered(tmp_path / "in", numbers), 25)
  assert source.total == len(numbers) == len(list(source))
  notes = [note for note in source.notes if "have no frame" in note]
  assert len(notes) == (words is not None)
  assert words is None or words in notes[0]


def test_folder_of_names_without_a_rule_has_no_holes(tmp_path):
  folder = numbered(tmp_path / "in", [1, 5])
  numbered(tmp_path / "more", [3, 9], name="g{}.png")
  for file in (tmp_path / "more").iterdir():
    file.rename(folder / file.name)
  assert not Source(folder, 25).notes
