"""What frames carry beside their pixels that stylized ones don't: captions, 360°, two views."""

from collections.abc import Iterator

_LINES = {
  "A53_CC": "the closed captions inside of its images are left out",
  "SPHERICAL": "it is a 360° video: its projection is left out, players will show it flat",
  "STEREO3D": "it holds two views (3D): that it does is left out, players will show what is stored",
}
"""Side data of FFmpeg's frames that the output has no place for, and what is said of each."""


def has(image, kind: str) -> bool:
  """Whether a PyAV frame has side data of a kind."""
  try:  # PyAV 18 goes through values, 19 through keys: neither `in` nor `get` is good for both
    return image.side_data[kind] is not None
  except KeyError:
    return False


def lost(image) -> Iterator[str]:
  """A line, without the file's name, for each of what a PyAV frame carries."""
  return (line for kind, line in _LINES.items() if has(image, kind))
