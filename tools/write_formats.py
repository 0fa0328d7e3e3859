"""Writes docs/formats.md from the table of file formats (stylejax/images/formats.py).

    python tools/write_formats.py

A test compares the document with the table.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from stylejax.images import formats
from stylejax.images.formats import Format, Kept

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "formats.md"

_HEAD = """# File formats

What is kept of a file that is read, and what a file holds that is written. This page is written by
`python tools/write_formats.py` from the table in the code (`stylejax/images/formats.py`).

A single file is known by its bytes, whatever its name; the files of a folder by their extensions.
What a folder holds beside them is counted and named in one line. Images are opened up to
{megapixels:g} megapixels.

Inside of stylejax an image is sRGB, upright, 32-bit floating point. Pixels that are invisible
(alpha 0) get the colors of their visible neighbors before the networks see them, so what a file
stores there has no influence. EXIF, XMP, IPTC and other remarks are not written to the output; a
file without a profile is sRGB to every viewer.

HDR in PQ or HLG is brought to sRGB with white at 203 cd/m² (ITU-R BT.2408). Light up to white stays
as it is in an image that has nothing above; otherwise the curve of ITU-R BT.2390 takes the image's
brightest channel to 1, with the hue kept. Colors that sRGB doesn't have are cut off. One line says
so.

"""

_TAIL = """## What is refused, and what is said

- Refused by name: a camera's raw file (DNG, NEF, ARW, …: its first image is a preview), TIFF with
  colors in floating point or of more than 16 bits, images beyond the limit of pixels, Dolby Vision
  of profile 5 (only its own players know its colors), a PNG whose checksums don't fit, a folder of
  frames of several sizes or with a cut file.
- Said in one line: a profile that can't be read and is ignored, floating-point gray beyond 1 that
  is cut off, further frames, pages or images of a file of which the first is taken, a TIFF's
  channels beside color and transparency, bits a channel that aren't read, tone mapping, pixels that
  aren't square, a motion photo's video; sound, subtitles and further tracks that the output can't
  hold, transparency that a JPEG or a video lays on white; a Matroska, WebM or AVI that is cut or
  damaged, timestamps of a broadcast or DVD that start anew (what follows goes on without a gap),
  numbers that are missing among frames' names, captions inside of a video's images, the projection
  of a 360° video, pixels that change their shape, speeds of an edit list.
- EXIF alone turns an image, as in browsers; XMP doesn't.
- Not read: JPEG XL, camera raw, PSD, SVG, EPS, PDF, ICO, TGA, OpenEXR.
- Cut off as the file asks, in one line: the edges that Matroska (PixelCrop), MP4, QuickTime and
  AVIF (clap) hide.
- Colors of a video are those that its frames name, or else its container (colr, Matroska's Colour);
  VP8 and Motion JPEG, which can name none, take the container's first.
- A TIFF of 12 bits in 16 is taken as such where BitsPerSample, SMaxSampleValue or MaxSampleValue
  says so; floating-point gray is 0 to 1 by definition, never scaled by what occurs.
- PNG: cICP counts before an ICC profile, that before sRGB, that before gAMA with cHRM.
- HEIC takes `pip install '.[heif]'`, videos take `pip install '.[video]'`.
"""


def document() -> str:
  """The whole text of docs/formats.md."""
  images, sequences = formats.IMAGES, (*formats.ANIMATIONS, *formats.VIDEOS)
  parts = [
    _HEAD.format(megapixels=formats.MAX_PIXELS / 1e6),
    "## Images that are read\n\n",
    _table(images, lambda row: row.reads, training=True),
    "## Images that are written\n\n",
    _table(images, lambda row: row.writes, sides=True),
    "## Animations and videos that `stylejax sequence` reads\n\n",
    _table(sequences, lambda row: row.reads, sequence=True),
    "## Animations and videos that `stylejax sequence` writes\n\n",
    _table(sequences, lambda row: row.writes, sequence=True, sides=True),
    _TAIL,
  ]
  return "".join(parts)


def _table(
  rows: Sequence[Format],
  side: Callable[[Format], Kept | None],
  *,
  training: bool = False,
  sequence: bool = False,
  sides: bool = False,
) -> str:
  """A table of the rows for which `side` gives something."""
  columns: list[tuple[str, Callable[[Format, Kept], str]]] = [
    ("format", lambda row, keeps: row.name),
    ("extensions", lambda row, keeps: ", ".join(row.suffixes)),
    ("color", lambda row, keeps: keeps.color),
    ("bits a channel", lambda row, keeps: keeps.depth),
    ("transparency", lambda row, keeps: keeps.alpha),
    ("orientation", lambda row, keeps: keeps.orientation),
  ]
  if sequence:
    columns += [
      ("timing", lambda row, keeps: keeps.timing),
      ("sound", lambda row, keeps: keeps.sound),
    ]
  if training:
    columns.append(("training", lambda row, keeps: "yes" if row.training else ""))
  if sides:
    columns.append(("largest side", lambda row, keeps: f"{row.max_side:,}" if row.max_side else ""))
  columns.append(("also", lambda row, keeps: keeps.rest))
  lines = ["| " + " | ".join(title for title, _ in columns) + " |", "|---" * len(columns) + "|"]
  for row in rows:
    keeps = side(row)
    if keeps is not None:
      lines.append("| " + " | ".join(cell(row, keeps) for _, cell in columns) + " |")
  return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
  DOCUMENT.write_text(document())
  print(f"wrote {DOCUMENT}")
