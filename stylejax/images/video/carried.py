"""Side data of frames that stylized frames lose: closed captions, 360° projection, two views."""

from collections.abc import Iterator

_LINES = {
  "A53_CC": "the closed captions inside its frames are left out",
  "SPHERICAL": "it is a 360° video: its projection is left out, players will show it flat",
  "STEREO3D": "it holds two views (3D): this mark is left out, players will show both as stored",
}
"""FFmpeg's frame side data that the output can't hold, with the note for each."""


def has(image, kind: str) -> bool:
  """Whether a PyAV frame has side data of a kind."""
  try:  # PyAV 18 iterates over values, 19 over keys: neither `in` nor `get` works with both
    return image.side_data[kind] is not None
  except KeyError:
    return False


def lost(image) -> Iterator[str]:
  """Yields a line, without the file's name, for each kind of side data that a PyAV frame loses."""
  return (line for kind, line in _LINES.items() if has(image, kind))
