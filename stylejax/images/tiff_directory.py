"""The directory of a TIFF: describes its kind, and extracts a channel stored as a separate plane.

libtiff decodes 16-bit planes, but Pillow 13.0 keeps only their high byte (TiffDecode.c: the layout
of a plane is "R;16N"), so each is made into a gray TIFF of its own. Nothing is decoded here.
"""

import dataclasses
import mmap
import struct
from collections.abc import Sequence

_SHORT, _LONG, _LONG8 = 3, 4, 16
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_SIZES |= {17: 8, 18: 8}
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA, _FORMAT = 258, 262, 277, 284, 338, 339
_BLACK_IS_ZERO, _CHUNKY = 1, 1
# By PhotometricInterpretation: its name and number of channels. _FORMATS is by SampleFormat.
_COLORS = {0: ("gray", 1), 1: ("gray", 1), 2: ("RGB", 3), 3: ("palette", 1), 5: ("CMYK", 4)}
_COLORS |= {6: ("YCbCr", 3), 8: ("Lab", 3), 9: ("Lab", 3)}
_FORMATS = {2: "signed ", 3: "floating-point ", 5: "complex ", 6: "complex "}
# Compressions that Pillow's libtiff may lack, as named in the registry of TIFF tags.
_COMPRESSION = 259
_COMPRESSIONS = {6: "old-style JPEG", 34661: "JBIG", 34712: "JPEG 2000", 34887: "LERC"}
_COMPRESSIONS |= {33003: "JPEG 2000", 33005: "JPEG 2000", 34892: "lossy JPEG", 34925: "LZMA"}
_COMPRESSIONS |= {50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"}
# Tags for strips and for tiles: their offsets and their byte counts.
_PLACES = ((273, 279), (324, 325))


@dataclasses.dataclass(frozen=True)
class _Entry:
  """A tag: its type, the number of values, and the bytes of the values or of their offset."""

  tag: int
  kind: int
  count: int
  value: bytes


class Directory:
  """A directory of a TIFF (Adobe's 6.0, page 13) or BigTIFF, the first or that at byte `at`.

  Attributes:
    order: the byte order, "<" or ">".
    big: whether it is a BigTIFF.
    word: the `struct` format of an offset.
    entries: the tags.
  """

  def __init__(self, data: bytes | mmap.mmap, *, at: int | None = None):
    self.order = "<" if data[:2] == b"II" else ">"
    self.big = struct.unpack_from(f"{self.order}H", data, 2)[0] == 43
    self.word = "Q" if self.big else "I"
    self._data = data
    if at is None:
      (at,) = struct.unpack_from(f"{self.order}{self.word}", data, 8 if self.big else 4)
    counter, form = ("Q", "HHQ8s") if self.big else ("H", "HHI4s")
    (count,) = struct.unpack_from(f"{self.order}{counter}", data, at)
    at += struct.calcsize(counter)
    form = f"{self.order}{form}"
    size = struct.calcsize(form)
    self.entries = [
      _Entry(*struct.unpack_from(form, data, at + size * n)) for n in range(min(count, 4096))
    ]

  def numbers(self, tag: int) -> tuple[int, ...] | None:
    """The integer values of a tag; None if there is no such tag."""
    entry = next((entry for entry in self.entries if entry.tag == tag), None)
    if entry is None:
      return None
    letter = {_SHORT: "H", _LONG: "I", _LONG8: "Q", 13: "I"}[entry.kind]
    length = _SIZES[entry.kind] * entry.count
    inline = length <= len(entry.value)
    at = 0 if inline else struct.unpack(f"{self.order}{self.word}", entry.value)[0]
    form = f"{self.order}{entry.count}{letter}"
    return struct.unpack_from(form, entry.value if inline else self._data, at)


def describe(data: bytes | mmap.mmap) -> str:
  """Describes a TIFF's first image in a few words, such as "12-bit RGB with 1 more channel".

  Raises:
    ValueError, KeyError, struct.error: the file is damaged.
  """
  directory = Directory(data)
  name, channels = _COLORS.get((directory.numbers(_PHOTOMETRIC) or (1,))[0], ("colors", 3))
  (samples,) = directory.numbers(_SAMPLES) or (1,)
  bits = "/".join(map(str, dict.fromkeys(directory.numbers(_BITS) or (1,))))
  form = _FORMATS.get((directory.numbers(_FORMAT) or (1,))[0], "")
  more = samples - channels
  with_more = f" with {more} more {'channel' if more == 1 else 'channels'}" if more > 0 else ""
  planar = " in separate planes" if directory.numbers(_PLANAR) == (2,) else ""
  big = " in a big-endian BigTIFF" if directory.big and directory.order == ">" else ""
  packed = _COMPRESSIONS.get((directory.numbers(_COMPRESSION) or (1,))[0])
  by = f", compressed by {packed}" if packed else ""
  return f"{bits}-bit {form}{name}{with_more}{planar}{big}{by}"


def plane(data: bytes, directory_at: int, number: int) -> bytes:
  """Makes a gray TIFF of one channel: the file with another directory appended.

  Args:
    data: a TIFF whose channels are stored in separate planes.
    directory_at: the offset of the page's directory in bytes.
    number: the channel, counted from 0.

  Raises:
    ValueError, KeyError, struct.error: the file is damaged.
  """
  directory = Directory(data, at=directory_at)
  order, word = directory.order, directory.word
  (channels,) = directory.numbers(_SAMPLES)
  changed = {_PHOTOMETRIC: (_BLACK_IS_ZERO,), _SAMPLES: (1,), _PLANAR: (_CHUNKY,)}
  for tag in (_BITS, _FORMAT):
    if values := directory.numbers(tag):
      changed[tag] = (values[min(number, len(values) - 1)],)
  places = [tag for pair in _PLACES for tag in pair if directory.numbers(tag) is not None]
  body = bytearray(data + bytes(len(data) % 2))
  inline = struct.calcsize(word)
  entries = [entry for entry in directory.entries if entry.tag not in (*changed, *places, _EXTRA)]
  entries += [
    _Entry(tag, _SHORT, 1, struct.pack(f"{order}H", *values).ljust(inline, b"\0"))
    for tag, values in changed.items()
  ]
  for tag in places:
    values = directory.numbers(tag)
    if len(values) % channels:
      raise ValueError(f"{len(values)} strips for {channels} channels")
    count = len(values) // channels
    entries.append(_long_entry(body, tag, values[number * count :][:count], order, word))
  return _with_directory(body, entries, order, word)


def _long_entry(body: bytearray, tag: int, values: Sequence[int], order: str, word: str) -> _Entry:
  """An entry of integers; several don't fit into it, so they are appended to the file."""
  packed = struct.pack(f"{order}{len(values)}{word}", *values)
  if len(values) > 1:
    packed, where = struct.pack(f"{order}{word}", len(body)), packed
    body += where
  return _Entry(tag, _LONG8 if word == "Q" else _LONG, len(values), packed)


def _with_directory(body: bytearray, entries: Sequence[_Entry], order: str, word: str) -> bytes:
  """The file with these entries as its only directory."""
  big = word == "Q"
  where = len(body)
  form = f"{order}HH{word}"
  body += struct.pack(f"{order}{'Q' if big else 'H'}", len(entries))
  for entry in sorted(entries, key=lambda entry: entry.tag):
    body += struct.pack(form, entry.tag, entry.kind, entry.count) + entry.value
  body += bytes(struct.calcsize(word))
  struct.pack_into(f"{order}{word}", body, 8 if big else 4, where)
  return bytes(body)
