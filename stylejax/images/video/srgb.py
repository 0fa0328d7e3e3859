"""Converts PyAV's decoded frames to sRGB, and sRGB to frames for an encoder.

Every conversion names its matrix and range, taken from the frame's tags or, if untagged, from its
size. The arithmetic of HDR and wide gamuts is in images/color.py.
"""

import dataclasses
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from stylejax.errors import InputError
from stylejax.images import color
from stylejax.images.encode import as_bytes
from stylejax.images.video.container import import_av

# Codes of H.273, which FFmpeg shares; 2 is "unspecified".
BT709, UNSAID, BT2020 = 1, 2, 9
_BT601 = 6
_FULL_RANGE = 2

_HD_ROWS, _HD_COLUMNS = 720, 1280

# Kr and Kb: the weights of red and blue in luma.
_MATRICES = {
  1: (0.2126, 0.0722),
  4: (0.30, 0.11),
  5: (0.299, 0.114),
  6: (0.299, 0.114),
  7: (0.212, 0.087),
  9: (0.2627, 0.0593),
}
_SCALE_NAMES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}

# SDR primaries and transfers that players show correctly: a video keeps them with their tags.
_KEPT_PRIMARIES = ("bt709", "bt470bg", "smpte170m")
_KEPT_TRANSFERS = ("bt709", "gamma22", "gamma28", "srgb")

_GRAYS = ("gray", "ya")  # prefixes of FFmpeg's gray formats, without and with alpha

_BLOCK = 8

_FLAGS = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp:sws_dither=none"


@dataclasses.dataclass(frozen=True)
class ColorCodes:
  """The H.273 codes of a frame or track as stored; 2 is "unspecified", and so is a range of 0.

  Attributes:
    matrix, primaries, transfer, range: the codes.
    first: whether the container's codes take precedence over a frame's, which the decoder only
      assumes.
  """

  matrix: int = UNSAID
  primaries: int = UNSAID
  transfer: int = UNSAID
  range: int = 0
  first: bool = False

  @classmethod
  def of(cls, source) -> "ColorCodes":
    """The codes of a PyAV frame, or of a codec context that hasn't decoded a frame yet.

    The latter are the container's (`colr` in MP4 and QuickTime, Matroska's Colour); once decoding
    starts, they are replaced by the bitstream's.
    """
    return cls(
      int(source.colorspace),
      int(source.color_primaries),
      int(source.color_trc),
      int(source.color_range),
    )

  def completed(self, other: "ColorCodes") -> "ColorCodes":
    """The same codes, with those of `other` in place of unspecified ones."""
    nothing = (0, UNSAID, 3)  # 3 is reserved; 0 is RGB as a matrix, else reserved
    return ColorCodes(
      other.matrix if self.matrix in nothing else self.matrix,
      other.primaries if self.primaries in nothing else self.primaries,
      other.transfer if self.transfer in nothing else self.transfer,
      self.range or other.range,
    )


@dataclasses.dataclass(frozen=True)
class Tags:
  """The color encoding of a frame, with gaps filled; numbers are H.273 codes.

  Attributes:
    matrix: the matrix of luma and chroma; 0 if the frame is coded as RGB.
    primaries: the color primaries.
    transfer: the transfer function.
    full: whether values use the full range, 0 to 255; otherwise luma is 16 to 235.
  """

  matrix: int
  primaries: int
  transfer: int
  full: bool

  @property
  def gamut(self) -> str:
    """The name of the primaries in images/color.py; if unknown, BT.2020 for HDR, else BT.709."""
    silent = "bt2020" if self.is_hdr else "bt709"
    return color.CICP_PRIMARIES.get(self.primaries, silent)

  @property
  def curve(self) -> str:
    """The name of the transfer function in images/color.py; BT.709 if unknown."""
    return color.CICP_TRANSFERS.get(self.transfer, "bt709")

  @property
  def is_hdr(self) -> bool:
    """Whether the transfer function is PQ or HLG."""
    return self.curve in color.HDR_TRANSFERS


def read_tags(frame, container: ColorCodes) -> Tags:
  """The Tags of a PyAV frame: its own, else those of its container, else a default by its size.

  If no matrix is tagged, it is BT.2020 for BT.2020 primaries; otherwise BT.709 from 720 rows or
  1,280 columns on, and BT.601 below, as in players.

  Raises:
    InputError: the matrix can't be converted.
  """
  codes = ColorCodes.of(frame)
  codes = container.completed(codes) if container.first else codes.completed(container)
  matrix, primaries = codes.matrix, codes.primaries
  name = frame.format.name
  # FFmpeg converts digital cinema's XYZ to RGB.
  coded_as_rgb = frame.format.is_rgb or frame.format.has_palette or name.startswith("xyz")
  gray = name.startswith(_GRAYS)
  if coded_as_rgb:
    matrix = 0
  elif matrix in (0, UNSAID, 3):
    large = frame.height >= _HD_ROWS or frame.width >= _HD_COLUMNS
    matrix = BT2020 if primaries == BT2020 else BT709 if large else _BT601
  elif matrix not in _MATRICES:
    raise InputError(
      f"found colors coded with matrix {matrix} of H.273, expected RGB, BT.601, BT.709 or BT.2020"
    )
  full = (
    coded_as_rgb
    or name.startswith("yuvj")
    or codes.range == _FULL_RANGE
    or (gray and codes.range == 0)
  )
  return Tags(matrix, primaries, codes.transfer, full)


def written_tags(tags: Tags | None) -> tuple[int, int]:
  """(primaries, transfer) for a video made of frames that came with `tags`.

  They are the input's if `ToSrgb` leaves its values unchanged, and BT.709 otherwise.
  """
  if tags is None or tags.is_hdr:
    return BT709, BT709
  return (
    tags.primaries if tags.primaries != UNSAID and tags.gamut in _KEPT_PRIMARIES else BT709,
    tags.transfer if tags.transfer != UNSAID and tags.curve in _KEPT_TRANSFERS else BT709,
  )


class Reformatter:
  """Converts frames of one size and format with FFmpeg's scaler to a fixed output format."""

  def __init__(self, frame, scale: str, pixel_format: str):
    """Configures the conversion for frames like this one.

    Args:
      frame: a PyAV frame.
      scale: options for FFmpeg's "scale" filter.
      pixel_format: FFmpeg's name of the output format.
    """
    av = import_av()
    self._graph = av.filter.Graph()
    # The graph gets no color tags: `scale` states what is needed.
    last = self._graph.add_buffer(
      width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 90_000)
    )
    for name, arguments in (
      ("scale", f"{scale}:{_FLAGS}"),
      ("format", f"pix_fmts={pixel_format}"),
      ("buffersink", None),
    ):
      step = self._graph.add(name, arguments)
      last.link_to(step)
      last = step
    self._graph.configure()

  def __call__(self, frame):
    """Converts a frame; the result's time may differ.

    The frame's primaries and transfer are cleared, because libswscale refuses ones that it doesn't
    know.
    """
    frame.color_primaries = frame.color_trc = UNSAID
    self._graph.push(frame)
    return self._graph.pull()


class ToSrgb:
  """Converts frames of one size, format and color encoding to sRGB arrays.

  Attributes:
    tags: the color encoding of the frames.
    has_alpha: whether the frames have alpha.
  """

  def __init__(
    self,
    frame,
    container: ColorCodes,
    size: tuple[int, int],
    note: Callable[[str], None],
    *,
    peak: float = 1.0,
  ):
    """Configures the conversion for frames like this one.

    Args:
      frame: a PyAV frame.
      container: its file's color codes, used where the frame's are unspecified.
      size: (height, width) of the arrays; if they differ from the frame's, it is stretched.
      note: called with lines for the user.
      peak: for HDR, the brightest light, as in color.tone_map.
    """
    self._peak = peak
    self.tags = tags = read_tags(frame, container)
    components = frame.format.components
    self.has_alpha = any(part.is_alpha for part in components) or frame.format.has_palette
    bits = max(part.bits for part in components)
    deep = bits > 8
    # FFmpeg widens values to 16 bits by a shift, without replicating bits: this is full scale.
    self._top = ((1 << bits) - 1) * 2.0 ** (16 - bits)
    self._converted = tags.gamut not in _KEPT_PRIMARIES
    size_options = f"w={size[1]}:h={size[0]}"
    # FFmpeg's 8-bit RGB is right within half a level, but its 16-bit RGB is 0.4 % too dark: deeper
    # video goes through 4:4:4 and the matrix below.
    self._exact = deep and tags.matrix != 0
    # FFmpeg 8 treats gray as full range whatever it is told: limited range is stretched below.
    gray = frame.format.name.startswith(_GRAYS)
    self._full, self._stretched = tags.full or gray, gray and not tags.full
    self._bits = bits
    span, matrix = "full" if self._full else "limited", _SCALE_NAMES.get(tags.matrix)
    if self._exact:
      target = "yuva444p16le" if self.has_alpha else "yuv444p16le"
      scale = (
        f"{size_options}:in_range={span}:out_range={span}:in_color_matrix={matrix}"
        f":out_color_matrix={matrix}"
      )
    elif tags.matrix == 0:
      target = (
        ("rgba64le" if self.has_alpha else "rgb48le")
        if deep
        else ("rgba" if self.has_alpha else "rgb24")
      )
      scale = size_options
    else:
      target = "rgba" if self.has_alpha else "rgb24"
      scale = f"{size_options}:in_range={span}:in_color_matrix={matrix}:out_range=full"
    self._reformat = Reformatter(frame, scale, target)
    self._tell(note, deep)

  def __call__(self, frame) -> tuple[np.ndarray, np.ndarray | None]:
    """Converts a PyAV frame to ([H, W, 3] float32 sRGB in [0, 1], alpha [H, W] or None)."""
    rgb, alpha = self._signal(frame)
    tags = self.tags
    if tags.is_hdr:
      rgb = color.to_srgb(rgb, primaries=tags.gamut, transfer=tags.curve, peak=self._peak)
    elif self._converted or tags.curve == "linear":
      # SDR values are shown as if they were sRGB; only linear light has to be encoded.
      rgb = color.to_srgb(
        rgb, primaries=tags.gamut, transfer="linear" if tags.curve == "linear" else "srgb"
      )
    return rgb, alpha

  def brightest(self, frame) -> float:
    """The light of an HDR frame's brightest block of 8×8 pixels, where 1 is reference white.

    A single pixel is no measure, because subsampled chroma overshoots at color edges.
    """
    light = color.TO_LINEAR[self.tags.curve](self._signal(frame)[0])
    light = light @ color.to_bt709_matrix(color.PRIMARIES[self.tags.gamut]).T
    largest = light.max(-1)
    height, width = (max(side // _BLOCK, 1) * _BLOCK for side in largest.shape)
    blocks = np.pad(
      largest,
      ((0, max(height - largest.shape[0], 0)), (0, max(width - largest.shape[1], 0))),
      mode="edge",
    )
    blocks = blocks[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return float(blocks.mean((1, 3)).max())

  def _signal(self, frame) -> tuple[np.ndarray, np.ndarray | None]:
    """R'G'B' in the frame's own primaries and transfer function, and alpha."""
    rgb, alpha = self._unpacked(frame)
    if self._stretched:  # H.273, section 8.3
      top, unit = (1 << self._bits) - 1, 1 << self._bits - 8
      rgb = np.clip((rgb * top - 16 * unit) / (219 * unit), 0, 1).astype(np.float32)
    return rgb, alpha

  def _unpacked(self, frame) -> tuple[np.ndarray, np.ndarray | None]:
    reformatted = self._reformat(frame)
    if self._exact:
      return self._of_planes([_plane(plane) for plane in reformatted.planes])
    values = _packed(reformatted, 4 if self.has_alpha else 3)
    return values[..., :3], values[..., 3] if self.has_alpha else None

  def _of_planes(self, planes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """Converts Y'CbCr planes [H, W] uint16, with values in the upper bits, to R'G'B' and alpha."""
    red, blue = _MATRICES[self.tags.matrix]
    luma, cb, cr = (plane.astype(np.float32) / 256 for plane in planes[:3])
    if self._full:
      top = self._top / 256
      luma, cb, cr = luma / top, (cb - 128) / top, (cr - 128) / top
    else:
      luma, cb, cr = (luma - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r = luma + (2 - 2 * red) * cr
    b = luma + (2 - 2 * blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    rgb = np.clip(np.stack([r, g, b], -1), 0, 1)
    return rgb, planes[3].astype(np.float32) / self._top if self.has_alpha else None

  def _tell(self, note: Callable[[str], None], deep: bool) -> None:
    if self.tags.is_hdr:
      note(
        f"HDR ({self.tags.curve.upper()}) becomes SDR: light is rolled off to "
        "reference white (203 cd/m²) with the curve of ITU-R BT.2390"
      )
    elif deep:
      note("more than 8 bits per channel are reduced to 8")
    if self._converted and not self.tags.is_hdr:
      note(f"colors are converted from {self.tags.gamut} to BT.709; those outside it are clipped")


class FromSrgb:
  """Converts sRGB arrays to frames for an encoder: 4:2:0, BT.709, limited range."""

  def __init__(self):
    self._reformat = None

  def __call__(self, rgb: np.ndarray):
    """Converts [H, W, 3] values in [0, 1] to a PyAV frame; H and W are even."""
    frame = import_av().VideoFrame.from_ndarray(as_bytes(rgb), format="rgb24")
    if self._reformat is None:
      self._reformat = Reformatter(
        frame, "in_range=full:out_range=limited:out_color_matrix=bt709", "yuv420p"
      )
    return self._reformat(frame)


def _plane(plane) -> np.ndarray:
  """A plane of 16-bit values as [H, W], without line padding."""
  lines = np.frombuffer(plane, np.uint16).reshape(plane.height, plane.line_size // 2)
  return lines[:, : plane.width]


def _packed(frame, channels: int) -> np.ndarray:
  """The values of a frame with interleaved channels as [H, W, channels] float32 in [0, 1]."""
  deep = frame.format.name.endswith("le")
  kind, size = (np.uint16, 2) if deep else (np.uint8, 1)
  plane = frame.planes[0]
  lines = np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // size)
  values = lines[:, : frame.width * channels].reshape(frame.height, frame.width, channels)
  return values.astype(np.float32) / (65535 if deep else 255)
