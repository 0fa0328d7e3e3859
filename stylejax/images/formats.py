"""The table of file formats: which are read and written, and what is kept of each file.

Suffixes, decoders, limits, messages, help texts and docs/formats.md come from the rows below. A new
format is a row here and, if Pillow doesn't decode it, a function. No file is opened here.
"""

import dataclasses
from collections.abc import Iterable
from typing import Literal

MAX_PIXELS = 300_000_000
"""Largest width × height of an image that is opened, in pixels."""


TIMES_NAME = "frames.ffconcat"
"""Name of the list in a folder of frames that says how long each frame is shown."""


@dataclasses.dataclass(frozen=True)
class Kept:
  """What is kept when a file is read, or stored when it is written; a few words each.

  Attributes:
    color: color spaces and profiles.
    depth: bits of each channel.
    alpha: transparency.
    orientation: EXIF orientation and other geometry.
    timing: how long frames are shown; empty for images.
    sound: sound and subtitles; empty for images.
    rest: anything else that a reader of the table should know, such as what is left out.
  """

  color: str
  depth: str
  alpha: str
  orientation: str
  timing: str = ""
  sound: str = ""
  rest: str = ""


@dataclasses.dataclass(frozen=True)
class Format:
  """One row of the table: a file format.

  Attributes:
    name: its common name.
    kind: an image, an animation (frames without sound) or a video.
    suffixes: extensions in lower case with their dot; the first is the usual one.
    codec: Pillow's name for the format; for a video, FFmpeg's name for the container.
    reads: what is kept when such a file is read; None if the format isn't read.
    writes: what is stored when such a file is written; None if the format isn't written.
    training: whether the training pipeline reads such files from folders and shards.
    max_side: the format's longest side in pixels; None if no limit matters.
    extra: the extra in pyproject.toml that it needs; None if a plain install suffices.
  """

  name: str
  kind: Literal["image", "animation", "video"]
  suffixes: tuple[str, ...]
  codec: str
  reads: Kept | None
  writes: Kept | None = None
  training: bool = False
  max_side: int | None = None
  extra: str | None = None


_SRGB = "sRGB"
_PROFILES = "ICC profile converted to sRGB"
_EXIF = "EXIF orientation undone"
_UPRIGHT = "upright pixels, no EXIF"

IMAGES = (
  Format(
    "JPEG",
    "image",
    (".jpg", ".jpeg"),
    "JPEG",
    Kept(
      f"{_PROFILES}, CMYK too; Adobe RGB by EXIF",
      "8",
      "none in the format",
      _EXIF,
      rest="the first image of several (MPO); a gain map (Ultra HDR) is not applied, and the "
      "video of a motion photo is left out",
    ),
    Kept(f"{_SRGB}, color not subsampled", "8", "laid on white", _UPRIGHT),
    training=True,
    max_side=65_500,
  ),
  Format(
    "PNG",
    "image",
    (".png",),
    "PNG",
    Kept(
      f"{_PROFILES}; cICP (P3, BT.2020, PQ, HLG), gAMA and cHRM",
      "8, 16",
      "kept",
      _EXIF,
      rest="the first frame of an animation",
    ),
    Kept(_SRGB, "8", "kept", _UPRIGHT),
    training=True,
  ),
  Format(
    "WebP",
    "image",
    (".webp",),
    "WEBP",
    Kept(_PROFILES, "8", "kept", _EXIF, rest="the first frame of an animation"),
    Kept(_SRGB, "8", "kept", _UPRIGHT),
    training=True,
    max_side=16_383,
  ),
  Format(
    "TIFF",
    "image",
    (".tif", ".tiff"),
    "TIFF",
    Kept(
      f"{_PROFILES}, CMYK and Lab too",
      "8, 16 (8 for CMYK); 12, 32 and float for gray",
      "kept",
      _EXIF,
      rest="the first page; colors in float or 32 bits, gray in 16- or 64-bit float, and raw files "
      "are refused",
    ),
  ),
  Format(
    "AVIF",
    "image",
    (".avif", ".avifs"),
    "AVIF",
    Kept(
      f"{_PROFILES}; P3, BT.2020, PQ and HLG by nclx",
      "8",
      "kept",
      "undone; cropped as clap says",
      rest="the first frame of an animation; needs Pillow 11.3 or later",
    ),
  ),
  Format(
    "HEIC",
    "image",
    (".heic", ".heif", ".hif"),
    "HEIF",
    Kept(
      f"{_PROFILES}; P3, BT.2020, PQ and HLG by nclx",
      "8",
      "kept",
      "undone",
      rest="the first image of several; a gain map is not applied, and the video of a motion photo "
      "is left out",
    ),
    extra="heif",
  ),
  Format(
    "JPEG 2000",
    "image",
    (".jp2", ".j2k", ".jpx"),
    "JPEG2000",
    Kept(_PROFILES, "8; 16 for gray", "kept", "none in the format"),
  ),
  Format(
    "PNM",
    "image",
    (".ppm", ".pgm", ".pbm", ".pnm"),
    "PPM",
    Kept(_SRGB, "8, 16", "none in the format", "none in the format"),
  ),
  Format(
    "BMP",
    "image",
    (".bmp",),
    "BMP",
    Kept(
      _SRGB,
      "8",
      "kept; ignored if nothing would be visible, as in browsers",
      "top-down and bottom-up",
    ),
  ),
  Format(
    "GIF",
    "image",
    (".gif",),
    "GIF",
    Kept(_SRGB, "8", "kept", "none in the format", rest="the first frame of an animation"),
  ),
)

_SHOWN = "each frame's; 10 ms or less become 100 ms, as in browsers"
_LOOPS = "the number of times it is shown"
_PIECES = f"frames are composed as in browsers; {_LOOPS}"

ANIMATIONS = (
  Format(
    "GIF",
    "animation",
    (".gif",),
    "GIF",
    Kept(
      _SRGB,
      "8",
      "kept",
      "none in the format; the pixel aspect ratio is left out",
      _SHOWN,
      rest=f"{_PIECES}; the background color is left out",
    ),
    Kept(
      _SRGB,
      "one palette of 255 colors for all frames",
      "opaque from half opacity up, otherwise invisible",
      _UPRIGHT,
      "each frame's to 1/100 s; at most 50 frames a second",
      rest=_LOOPS,
    ),
    max_side=65_535,
  ),
  Format(
    "APNG",
    "animation",
    (".png", ".apng"),
    "PNG",
    Kept(
      _PROFILES,
      "8; 16 for gray",
      "kept",
      _EXIF,
      _SHOWN,
      rest=f"{_PIECES}; an image that is not a frame is left out",
    ),
    Kept(_SRGB, "8", "kept", _UPRIGHT, "each frame's; at most 90 frames a second", rest=_LOOPS),
  ),
  Format(
    "WebP",
    "animation",
    (".webp",),
    "WEBP",
    Kept(_PROFILES, "8", "kept", _EXIF, _SHOWN, rest=_PIECES),
    Kept(
      f"{_SRGB}, lossless",
      "8",
      "kept",
      _UPRIGHT,
      "each frame's to 1/1000 s; at most 90 frames a second",
      rest=_LOOPS,
    ),
    max_side=16_383,
  ),
  Format(
    "AVIF",
    "animation",
    (".avif", ".avifs"),
    "AVIF",
    Kept(
      f"{_PROFILES}; P3, BT.2020, PQ and HLG by nclx",
      "8",
      "kept",
      "undone",
      _SHOWN,
      rest="needs Pillow 11.3 or later",
    ),
  ),
)

_VIDEO_COLOR = (
  "matrix and range as the frames say, or else the container; if untagged, BT.709 from 720 rows or "
  "1,280 columns up, otherwise BT.601; PQ, HLG, P3 and BT.2020 converted to BT.709"
)
_TRACKS = "all tracks, unchanged"
_VIDEO_READS = Kept(
  _VIDEO_COLOR,
  "8 to 16",
  "kept where FFmpeg reads it (not VP9's)",
  "rotated, mirrored and cropped (PixelCrop, clap) as the file says; pixel aspect ratio",
  "each frame's, from the file's start",
  _TRACKS,
  "interlaced frames unchanged; data tracks and cover images are left out",
)


def _video_writes(codec: str, sound: str, *, square: bool = False) -> Kept:
  return Kept(
    f"BT.709, limited range, tagged; {codec}",
    "8, color subsampled for 2×2 pixels",
    "laid on white",
    "upright frames, square pixels" if square else "upright frames; pixel aspect ratio",
    "each frame's, including the last one's",
    sound,
    "chapters; an odd side grows by one pixel",
  )


VIDEOS = (
  Format(
    "MP4",
    "video",
    (".mp4",),
    "mp4",
    _VIDEO_READS,
    _video_writes("H.264", "all tracks that MP4 takes; others are named"),
    extra="video",
  ),
  Format(
    "Matroska",
    "video",
    (".mkv",),
    "matroska",
    _VIDEO_READS,
    _video_writes("H.264", _TRACKS),
    extra="video",
  ),
  Format(
    "WebM",
    "video",
    (".webm",),
    "webm",
    _VIDEO_READS,
    _video_writes("VP9", "Opus, Vorbis and WebVTT; others are named", square=True),
    extra="video",
  ),
  Format(
    "QuickTime",
    "video",
    (".mov",),
    "mov",
    _VIDEO_READS,
    _video_writes("H.264", "all tracks that MOV takes; others are named"),
    extra="video",
  ),
  Format("MPEG-TS", "video", (".ts", ".m2ts", ".mts"), "mpegts", _VIDEO_READS, extra="video"),
  Format("AVI", "video", (".avi",), "avi", _VIDEO_READS, extra="video"),
  Format("MPEG-PS", "video", (".mpg", ".vob"), "mpeg", _VIDEO_READS, extra="video"),
)

FORMATS = (*IMAGES, *ANIMATIONS, *VIDEOS)
"""All rows, in the order in which messages and documents name them."""


def suffixes(rows: Iterable[Format]) -> tuple[str, ...]:
  """The extensions of the rows, in order and without duplicates."""
  return tuple(dict.fromkeys(suffix for row in rows for suffix in row.suffixes))


def names(rows: Iterable[Format], *, last: str = "or") -> str:
  """The names of the rows as a list in a sentence, for example "JPEG, PNG or WebP"."""
  *first, end = dict.fromkeys(row.name for row in rows)
  return f"{', '.join(first)} {last} {end}" if first else end


READ_IMAGES = tuple(row for row in IMAGES if row.reads)
WRITTEN_IMAGES = tuple(row for row in IMAGES if row.writes)
TRAINING_IMAGES = tuple(row for row in IMAGES if row.training)

READ_SUFFIXES = suffixes(READ_IMAGES)
"""Extensions of images that are read from a folder; a single file is recognized by its bytes."""

TRAINING_SUFFIXES = suffixes(TRAINING_IMAGES)
"""Extensions of the images that training reads from folders and shards."""

OUTPUT_FORMATS = {suffix: row.codec for row in WRITTEN_IMAGES for suffix in row.suffixes}
"""Extensions of images that can be written, and Pillow's name for the format."""

ANIMATION_SUFFIXES = suffixes(row for row in ANIMATIONS if row.writes)
"""Extensions of animations that can be written."""

VIDEO_FORMATS = {suffix: row.codec for row in VIDEOS if row.writes for suffix in row.suffixes}
"""Extensions of videos that can be written, and FFmpeg's name for the container."""


WRITTEN_SUFFIXES = ", ".join(row.suffixes[0] for row in WRITTEN_IMAGES)
"""The usual extensions of images that can be written, for help texts."""

SEQUENCE_SUFFIXES = ", ".join((*ANIMATION_SUFFIXES, *VIDEO_FORMATS))
"""The extensions of sequences that can be written, for help texts."""


def written_as(suffix: str, *, rows: Iterable[Format] = WRITTEN_IMAGES) -> Format | None:
  """The row that an output with this extension is written as; None if there is none."""
  matching = (row for row in rows if row.writes and suffix.lower() in row.suffixes)
  return next(matching, None)
