"""`infer.py styles`: its options, and what it prints. The library itself is styles.py's."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont

from stylejax import transfer
from stylejax.cli.console import exit_status, say_note
from stylejax.cli.paint_options import option
from stylejax.errors import InputError
from stylejax.images import encode, formats
from stylejax.images.decode import DecodedImage
from stylejax.images.find import find_images
from stylejax.inference.codes import Codes, style_scale
from stylejax.inference.outputs import check_number, plan_outputs
from stylejax.inference.style_mixes import Source
from stylejax.runtime.compilation_cache import enable_cache
from stylejax.runtime.files import check_apart, printable
from stylejax.runtime.jit import fast_jit
from stylejax.runtime.locks import locked
from stylejax.weights import style_library
from stylejax.weights.model_file import load_pretrained

DESCRIPTION = """Keep styles under names, for `infer.py --style @NAME`.

Examples:
  python infer.py styles add wave.jpg irises.jpg      # as @wave and @irises
  python infer.py styles add painting.jpg --name bold --stroke 2
  python infer.py styles add --seed 7 --name dream    # one that nobody painted
  python infer.py styles list
  python infer.py styles nearest another.jpg
  python infer.py styles sheet --content photo.jpg cat.jpg --output sheet.png
  python infer.py styles remove wave

A library belongs to the weights with which it was made: its codes mean nothing to others.
"""

_GAP = 4
_MAX_SHEET_SIDE = 1_024


@dataclasses.dataclass(frozen=True)
class Common:
  """Options of all of them."""

  library: Annotated[
    str | None,
    option(
      "The library.",
      "FILE",
      "(default: stylejax/styles.safetensors in $XDG_DATA_HOME, which is ~/.local/share)",
    ),
  ] = None
  weights: Annotated[
    str, option("base, which come with the package, or a .safetensors file.", "NAME|FILE")
  ] = "base"


@dataclasses.dataclass(frozen=True)
class Add(Common):
  """Read the styles of images, or invent one, and keep them; a name that is there is replaced."""

  images: Annotated[
    tuple[str, ...],
    tyro.conf.Positional,
    option("Files or folders. A style is called as its file is.", "[PATH ...]"),
  ] = ()
  name: Annotated[
    str | None, option("Another name, for a single style.", "NAME", "(default: the file's)")
  ] = None
  seed: Annotated[
    int | None, option("Invent a style from this number.", "INTEGER", "(default: none)")
  ] = None
  stroke: Annotated[
    float | None, option("Size of the strokes, as of infer.py.", "NUMBER", "(default: 1)")
  ] = None


@dataclasses.dataclass(frozen=True)
class List(Common):
  """Print the names and what they were read from."""


@dataclasses.dataclass(frozen=True)
class Remove(Common):
  """Drop styles."""

  names: Annotated[tuple[str, ...], tyro.conf.Positional, option("Which.", "NAME [...]")] = ()


@dataclasses.dataclass(frozen=True)
class Nearest(Common):
  """Print the styles most like an image's; 1 is as far as two of the library are on average."""

  image: Annotated[str, tyro.conf.Positional, option("A file.", "PATH", "(required)")] = ""
  count: Annotated[int, option("How many at most.", "INTEGER")] = 5


@dataclasses.dataclass(frozen=True)
class Sheet(Common):
  """Paint some photos, cut to squares, in every style of the library, on one image."""

  content: Annotated[
    tuple[str, ...], option("Photos: files or folders.", "PATH [PATH ...]", "(required)")
  ] = ()
  output: Annotated[
    str, option(f"The file to write ({formats.WRITTEN_SUFFIXES}).", "PATH", "(required)")
  ] = ""
  size: Annotated[int, option("Side of each painting.", "PIXELS")] = 192


Command = (
  Annotated[Add, tyro.conf.subcommand("add")]
  | Annotated[List, tyro.conf.subcommand("list")]
  | Annotated[Remove, tyro.conf.subcommand("remove")]
  | Annotated[Nearest, tyro.conf.subcommand("nearest")]
  | Annotated[Sheet, tyro.conf.subcommand("sheet")]
)


def main(arguments: Sequence[str]) -> int:
  """Runs the command and returns its exit status."""
  options = tyro.cli(Command, prog="infer.py styles", description=DESCRIPTION, args=arguments)
  work = {Add: add, List: list_styles, Remove: remove, Nearest: nearest, Sheet: sheet}
  return exit_status(lambda: work[type(options)](options))


def add(options: Add) -> int:
  """Reads styles into the library, all of them or none."""
  check_number("--seed", options.seed, 0, 2**32 - 1)
  size = style_scale(options.stroke, None)
  notes: list[str] = []
  files = find_images(options.images, "styles add", on_note=notes.append)
  sources = [Source(_name(path.stem), path) for path in files]
  if options.seed is not None:
    sources.append(Source(f"seed{options.seed}", seed=options.seed))
  if not sources:
    raise InputError("styles add: found nothing, expected images or --seed")
  if options.name is not None:
    if len(sources) > 1:
      raise InputError(f"--name: found one for {len(sources)} styles, expected one style")
    sources = [dataclasses.replace(sources[0], name=options.name)]
  names = [source.name for source in sources]
  for name in names:
    style_library.check_name(name)
    if names.count(name) > 1:
      raise InputError(
        f"styles add: found two images called {name}, expected one; --name gives another name"
      )
  check_apart([_path(options)], [*files, *_weights(options)], what="library")
  path, params, _ = _open(options, new=True)
  if options.seed is not None and params.noise_generator is None:
    raise InputError(
      f"weights {options.weights}: found no noise_generator, expected one for --seed"
    )
  codes, added = Codes(params, size, on_note=notes.append), {}
  for source in sources:
    origin = f"seed {source.seed}" if source.path is None else source.path.name
    added[source.name] = style_library.SavedStyle(codes.read(source), printable(origin))
  _say(notes)
  if options.library is None:
    path.parent.mkdir(parents=True, exist_ok=True)
  with locked(path, "library"):  # read again: another process may have added some meanwhile
    saved = style_library.read_library(path, params) if os.path.lexists(path) else {}
    style_library.write_library(path, saved | added, params)
  print(f"added {', '.join('@' + name for name in names)} to {printable(path)}")
  return 0


def list_styles(options: List) -> int:
  """Prints a line for each style."""
  _, _, saved = _open(options)
  width = max(map(len, saved), default=0)
  for name, style in saved.items():
    print(f"@{name:{width}}  {printable(style.origin)}")
  return 0


def remove(options: Remove) -> int:
  """Drops styles, all of those named or none."""
  path, params, saved = _open(options)
  if not options.names:
    raise InputError("styles remove: found no name, expected one or more")
  style_library.check_library(path)
  names = [name.removeprefix("@") for name in options.names]
  with locked(path, "library"):
    saved = style_library.read_library(path, params)
    for name in names:
      style_library.find(name, saved, path)
    style_library.write_library(
      path, {name: style for name, style in saved.items() if name not in names}, params
    )
  print(f"removed {', '.join('@' + name for name in dict.fromkeys(names))} from {printable(path)}")
  return 0


def nearest(options: Nearest) -> int:
  """Prints the distances of the nearest styles."""
  check_number("--count", options.count, 1, 1_000_000)
  if not options.image:
    raise InputError("styles nearest: found no image, expected one")
  _, params, saved = _open(options)
  codes = Codes(params, style_scale(None, None), on_note=say_note)
  code = codes.read(Source("", Path(options.image)))
  for name, distance in style_library.nearest(code, saved)[: options.count]:
    print(f"{distance:5.2f}  @{name}")
  return 0


def sheet(options: Sheet) -> int:
  """Writes the contact sheet."""
  check_number("--size", options.size, encode.MIN_SIDE, _MAX_SHEET_SIDE)
  if not options.output:
    raise InputError("--output: found nothing, expected the name of an image file")
  notes: list[str] = []
  contents = find_images(options.content, "--content", on_note=notes.append)
  if not contents:
    raise InputError("--content: found nothing, expected photos")
  path, params, saved = _open(options)
  (job,) = plan_outputs(
    contents[:1],
    ["sheet"],
    options.output,
    inputs=[*contents, path, *_weights(options)],
    folders=filter(os.path.isdir, options.content),
  )
  if not saved:
    raise InputError(f"library {path}: found no style in it, expected one or more")
  photos = np.stack(
    [_square(encode.read(photo, on_note=notes.append), options.size) for photo in contents]
  )
  _say(notes)
  codes = style_library.stack([style.code for style in saved.values()])
  painted = np.asarray(fast_jit(style_library.contact_sheet)(params, photos, codes))
  rows = np.concatenate([photos[None], painted])
  encode.write_image(job.outputs[0], draw_sheet(rows, ["", *(f"@{name}" for name in saved)]))
  print(f"wrote {printable(job.outputs[0])}: {len(saved)} styles × {len(photos)} photos")
  return 0


def draw_sheet(rows: np.ndarray, labels: Sequence[str]) -> np.ndarray:
  """[R, C, S, S, 3] → one image on white with a label before each row."""
  count, columns, side = rows.shape[:3]
  font = ImageFont.load_default(max(10, side // 12))
  margin = 2 * _GAP + int(max(font.getlength(label) for label in labels))
  step = side + _GAP
  image = Image.new("RGB", (margin + columns * step, count * step + _GAP), "white")
  draw = ImageDraw.Draw(image)
  for row, label in enumerate(labels):
    draw.text((_GAP, _GAP + row * step + side // 2), label, "black", font, anchor="lm")
  canvas = np.float32(image) / 255
  for row in range(count):
    for column in range(columns):
      top, left = _GAP + row * step, margin + column * step
      canvas[top : top + side, left : left + side] = rows[row, column]
  return canvas


def _say(notes: Sequence[str]) -> None:
  """Prints notes once nothing can be refused any more: a mistake is one line."""
  for note in notes:
    say_note(note)


def _open(
  options: Common, *, new: bool = False
) -> tuple[Path, transfer.Params, dict[str, style_library.SavedStyle]]:
  """The library's file, the weights, and the styles; with `new` the file may be missing."""
  enable_cache()
  path = _path(options)
  params = load_pretrained(options.weights)
  if params.style_encoder is None:
    raise InputError(f"weights {options.weights}: found no style_encoder, expected one")
  if new and not os.path.lexists(path):
    if options.library is not None:
      style_library.check_library(path)
    return path, params, {}
  return path, params, style_library.read_library(path, params)


def _path(options: Common) -> Path:
  return Path(options.library) if options.library is not None else style_library.default_path()


def _weights(options: Common) -> list[str]:
  """The file of the weights, if they are no packaged ones."""
  return [options.weights] if os.path.isfile(options.weights) else []


def _name(stem: str) -> str:
  """A file's name as a style's: what can't be in one becomes _."""
  return re.sub(r"[^\w.+-]+", "_", stem)[:64]


def _square(image: DecodedImage, side: int) -> np.ndarray:
  """[side, side, 3]: the middle of an image."""
  rgb = encode.on_white(image)
  short = min(rgb.shape[:2])
  rgb = encode.cut_middle(rgb, short, short)
  return encode.resize(DecodedImage(rgb, None, image.mode), side, side).rgb
