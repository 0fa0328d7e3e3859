"""What `stylejax styles` does and prints; the library itself is in weights/style_library.py."""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stylejax import transfer
from stylejax.cli.console import say_note
from stylejax.cli.styles import Add, Common, List, Nearest, Remove, Sheet
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.contact_sheet import contact_sheet
from stylejax.images.decode import DecodedImage
from stylejax.images.find import find_images
from stylejax.images.thumbnail import to_thumbnail
from stylejax.inference.outputs import check_number, plan_outputs
from stylejax.inference.request import Source
from stylejax.inference.styles import StyleImageReader, StyleReader, style_scale
from stylejax.inference.stylizer import Stylizer
from stylejax.runtime.compilation_cache import enable_cache
from stylejax.runtime.files import check_apart, printable
from stylejax.runtime.jit import fast_jit
from stylejax.runtime.locks import locked
from stylejax.weights import style_library
from stylejax.weights.model_file import load_pretrained

_GAP = 4
_MAX_SHEET_SIDE = 1_024


def add(options: Add) -> int:
  """Adds styles to the library, all of them or none."""
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
        f"styles add: found two images called {name}, expected different names; --name renames one"
      )
  check_apart([_path(options)], [*files, *map(Path, _weights(options))], what="library")
  path, params, _ = _open(options, new=True)
  if options.seed is not None and params.noise_generator is None:
    raise InputError(
      f"weights {options.weights}: found no noise_generator, expected one for --seed"
    )
  stylizer, added = Stylizer(params), {}
  codes, images = StyleReader(stylizer, size, on_note=notes.append), StyleImageReader(stylizer)
  for source in sources:
    origin = f"seed {source.seed}" if source.path is None else source.path.name
    added[source.name] = style_library.SavedStyle(
      codes.read(source), printable(origin), to_thumbnail(images.read(source))
    )
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
  """Removes the named styles, all of them or none."""
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
  codes = StyleReader(Stylizer(params), style_scale(None, None), on_note=say_note)
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
    inputs=[*contents, path, *map(Path, _weights(options))],
    folders=filter(os.path.isdir, options.content),
  )
  if not saved:
    raise InputError(f"library {path}: found no style in it, expected one or more")
  photos = np.stack(
    [_square(encode.read(photo, on_note=notes.append), options.size) for photo in contents]
  )
  _say(notes)
  codes = style_library.stack([style.code for style in saved.values()])
  stylized = np.asarray(fast_jit(style_library.contact_sheet)(params, photos, codes))
  rows = np.concatenate([photos[None], stylized])
  drawn = contact_sheet(
    [*map(list, rows)],
    labels=["", *(f"@{name}" for name in saved)],
    gap=_GAP,
    font_size=max(10, options.size // 12),
  )
  encode.write_image(job.outputs[0], drawn)
  print(f"wrote {printable(job.outputs[0])}: {len(saved)} styles × {len(photos)} photos")
  return 0


def _say(notes: Sequence[str]) -> None:
  """Prints notes; called after all checks, so that a mistake prints only one line."""
  for note in notes:
    say_note(note)


def _open(
  options: Common, *, new: bool = False
) -> tuple[Path, transfer.Params, dict[str, style_library.SavedStyle]]:
  """(the library's file, the weights, the styles); with `new` the file may be missing."""
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
  """The file of the weights as a list, empty if they are packaged ones."""
  return [options.weights] if os.path.isfile(options.weights) else []


def _name(stem: str) -> str:
  """Turns a file's name into a style's: other characters become "_", and 64 are kept."""
  return re.sub(r"[^\w.+-]+", "_", stem)[:64]


def _square(image: DecodedImage, side: int) -> np.ndarray:
  """The middle square of an image, resized to [side, side, 3]."""
  rgb = encode.on_white(image)
  short = min(rgb.shape[:2])
  rgb = encode.cut_middle(rgb, short, short)
  return encode.resize(DecodedImage(rgb, None, image.mode), side, side).rgb


COMMANDS = {"add": add, "list": list_styles, "remove": remove, "nearest": nearest, "sheet": sheet}
"""The function that does the work of each command, by name."""
