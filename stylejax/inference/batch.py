"""Many images: the loop that reads contents and styles and writes every pair of them.

This is what infer.py calls. What the outputs are called is decided in plan.py; one pair is
`stylejax.stylize`.
"""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

from stylejax import transfer
from stylejax.errors import InputError
from stylejax.images import animation, encode
from stylejax.images.decode import DecodedImage, image_size
from stylejax.images.find import find_images
from stylejax.inference import buckets, budget, painters
from stylejax.inference.codes import Codes, style_scale
from stylejax.inference.outputs import Job, check_number, plan_outputs
from stylejax.inference.style_mixes import Controls, plan_looks, plan_regions
from stylejax.models.config import ModelConfig
from stylejax.runtime.folders import making
from stylejax.weights.model_file import load_pretrained

MAX_SIZE = 16_384
"""Largest shorter side of an output that `size` may ask for, in pixels."""

MAX_FRAMES = 1_000
"""Most images of one interpolation."""


@dataclasses.dataclass(frozen=True)
class Report:
  """What a run did.

  Attributes:
    written: the outputs.
    skipped: one line for each file that could not be read.
    seconds: from the call to the last file, weights and compilation included.
  """

  written: tuple[Path, ...]
  skipped: tuple[str, ...]
  seconds: float


def stylize_files(
  content: Sequence[str | os.PathLike],
  style: Sequence[str | os.PathLike],
  output: str | os.PathLike,
  *,
  mask: Sequence[str] = (),
  strength: float = 1.0,
  strength_map: str | os.PathLike | None = None,
  preserve_color: float = 0.0,
  color_mode: str = "luminance",
  stroke: float | None = None,
  style_size: int | None = None,
  size: int | None = None,
  tile: float | None = None,
  seamless: str | None = None,
  shard: bool = False,
  seed: int | None = None,
  interpolate: int | None = None,
  library: str | os.PathLike | None = None,
  weights: str | os.PathLike = "base",
  quality: int = 95,
  extension: str = "png",
  resume: bool = False,
  share: tuple[int, int] = (0, 1),
  on_progress: Callable[[int, int], None] = lambda done, total: None,
  on_skip: Callable[[str], None] = lambda message: None,
  on_part: Callable[[float], None] = lambda share: None,
  on_note: Callable[[str], None] = lambda message: None,
) -> Report:
  """Stylizes files: every content in every style, or in a mixture of them.

  Of several contents or styles, those that can't be read are skipped and reported.

  Args:
    content: files or folders.
    style: files, folders or "@name" of the library; may be empty when there is a `seed` or `mask`.
      With a weight behind each ("a.jpg:0.7") they are mixed.
    output: a file for one content in one style, else a folder, which is made if its parent is
      there. Files in it are called <content>_<style>.<extension>, and lie in
      folders as the contents do where contents of different folders share a name.
    mask: "MASK=STYLE" each: an image of the content's size, white where that style is painted.
      Elsewhere it is `style`, or the content itself if there is none.
    strength: 0 (the content itself) over 1 (as trained) to 2.
    strength_map: an image of the content's size; scales the strength from 0, black, to 1, white.
    preserve_color: 0 (the style's colors) to 1 (the content's).
    color_mode: "luminance" or "moments", as in `stylejax.preserve_color`.
    stroke: size of the strokes, 1/4 to 4; the same as a `style_size` of so many times the default.
    style_size: shorter side in pixels at which a style is read; larger means larger strokes.
    size: shorter side in pixels to which the content is scaled before it is stylized, and so the
      output's; None keeps the content's own size.
    tile: pixels that are computed at once, in millions: the image is painted in tiles,
      with the same result. None does so where the whole image would not fit into memory.
    seamless: "x", "y" or "xy": the content goes on at the other side, and so do the outputs.
    shard: the rows of each image are shared among this machine's devices. Otherwise each device
      takes an image of its own, if there are several.
    seed: adds a style that the noise generator invents, called seed<seed>.
    interpolate: so many images from the first style to the last, side by side in one file, or
      one after the other in a GIF.
    library: the file of styles called "@name"; None is the user's own.
    weights: a packaged name or a file.
    quality: 1 to 100, of JPEG and WebP.
    extension: of files in a folder: "png", "jpg" or "webp".
    resume: leaves out what is there already: outputs are whole or not there.
    share: (i, n) paints every n-th content only, from number i on, as one of n processes does.
    on_progress: called with the number of images done (or skipped) and their total.
    on_skip: called with one line for each file that is skipped.
    on_part: called with the share of an image in tiles that is done, 0 to 1.
    on_note: called with one line for what is left out or ignored of the inputs.

  Returns:
    The Report.

  Raises:
    InputError: anything wrong with the above. Only a full disk, or an image beyond the memory,
      can come after the first file of several has been written.
  """
  started = time.perf_counter()
  check_number("--strength", strength, 0, transfer.MAX_STRENGTH, whole=False)
  check_number("--preserve-color", preserve_color, 0, 1, whole=False)
  check_number("--size", size, encode.MIN_SIDE, MAX_SIZE)
  check_number("--tile", tile, 0.01, 1_000, whole=False)
  if seamless not in (None, "x", "y", "xy"):
    raise InputError(f"--seamless: found {seamless}, expected x, y or xy")
  if (tile is not None) + (seamless is not None) + shard > 1:
    raise InputError("--tile, --seamless, --shard: found more than one, expected one of them")
  check_number("--seed", seed, 0, 2**32 - 1)
  check_number("--interpolate", interpolate, 2, MAX_FRAMES)
  check_number("--quality", quality, 1, 100)
  style_size = style_scale(stroke, style_size)
  notes: list[str] = []  # told when all settings are known to be right: a mistake is one line
  contents = find_images(content, "--content", on_note=notes.append)
  regions = plan_regions(mask)
  looks = plan_looks(style, seed=seed, regions=regions, frames=interpolate, on_note=notes.append)
  if not contents:
    raise InputError("--content: found nothing, expected an image or a folder of images")
  sources = [source for look in looks for source in look.sources]
  sources += [region.source for region in regions]
  maps = [region.mask for region in regions]
  maps += [] if strength_map is None else find_images([strength_map], "--strength-map")
  jobs = plan_outputs(
    contents,
    [look.name for look in looks],
    output,
    extension=extension,
    inputs=[
      *contents,
      *maps,
      *(source.path for source in sources if source.path),
      *filter(os.path.isfile, [weights, library or ""]),
    ],
    folders=filter(os.path.isdir, [*content, *style]),
    prefer_folder=any(map(os.path.isdir, [*content, *style])),
    animated=interpolate is not None,
  )
  for note in notes:
    on_note(note)
  alone = len(jobs) == 1
  jobs = [job for job in jobs[share[0] :: share[1]] if not (resume and job.is_done())]
  if not jobs:
    return Report((), (), time.perf_counter() - started)
  colors = painters.Colors(float(preserve_color), color_mode == "moments")

  skipped: list[str] = []

  def skip(error: InputError, *, alone: bool) -> None:
    if alone:
      raise error
    skipped.append(str(error))
    on_skip(str(error))

  params = load_pretrained(weights)
  _check_parts(params, weights, sampling=any(source.seed is not None for source in sources))
  codes = Codes(params, style_size, library, on_note=on_note)
  area = [codes.read(region.source) for region in regions]
  controls = Controls.read(
    regions, strength, None if strength_map is None else maps[-1], on_note=on_note
  )
  paintings = {}
  for index, look in enumerate(looks):
    try:
      paintings[index] = [*map(codes.read, look.sources), *area]
    except InputError as error:
      # Of a mixture nothing may be missing.
      skip(error, alone=len(looks) == 1)
  if not paintings:
    raise InputError(
      f"--style: found no readable image among {len(looks)}, expected one or more; {skipped[0]}"
    )

  written: list[Path] = []
  total = len(jobs) * len(paintings)
  on_progress(0, total)
  frames = len(looks[0].weights)
  alike = not (controls.files or tile or seamless or shard)
  groups = _groups(jobs, size, params.config) if alike else [Group((job,)) for job in jobs]
  done = 0
  places = dict.fromkeys(path.parent for job in jobs for path in job.outputs)
  with making(places, "output"), _Writer() as writer:
    for group, found in _read_ahead(groups, size, controls, frames, on_note):
      for image in found:
        if isinstance(image, InputError):
          skip(image, alone=alone)
      ahead = 0
      ready = [
        (job, image)
        for job, image in zip(group.jobs, found, strict=True)
        if isinstance(image, DecodedImage)
      ]
      if ready:
        with _memory_errors(ready[0][0].content):
          painter = _painter(
            params,
            [image.rgb for _, image in ready],
            group.frame,
            colors,
            tile,
            seamless,
            shard,
            on_part,
          )
          for index, style_codes in paintings.items():
            missing = [not (resume and job.outputs[index].exists()) for job, _ in ready]
            if not any(missing):
              continue
            painted = [
              painter.paint(style_codes, *controls.at(mix, ready[0][1].rgb.shape[:2]))
              for mix in looks[index].weights
            ]
            for place, (job, image) in enumerate(ready):
              if missing[place]:
                writer.write(
                  job.outputs[index], [each[place] for each in painted], image.alpha, quality
                )
                written.append(job.outputs[index])
                ahead += 1
                on_progress(done + ahead, total)
      done += len(group.jobs) * len(paintings)
      on_progress(done, total)
    if not written and share[1] == 1:
      raise InputError(
        f"--content: found no readable image among {len(jobs)}, expected one or "
        f"more; {skipped[-len(jobs)]}"
      )
  return Report(tuple(written), tuple(skipped), time.perf_counter() - started)


@dataclasses.dataclass(frozen=True)
class Group:
  """Contents that are painted in one call, in arrays of sides `frame` or of their own size."""

  jobs: tuple[Job, ...]
  frame: tuple[int, int] | None = None


def _groups(jobs: Sequence[Job], size: int | None, config: ModelConfig) -> list[Group]:
  """Contents of many sizes in a few arrays, one for each device of this machine at a time."""
  sizes = {}
  if len(jobs) > 1:
    for job in jobs:
      with contextlib.suppress(InputError):  # told when the image itself is read
        side = image_size(job.content)[::-1]
        side = side if size is None else encode.fit_shorter_side(*side, int(size))
        if budget.fits(side, config) and min(side) >= transfer.MIN_SIDE:
          sizes[job] = side
  at_once = jax.local_device_count()
  frames = buckets.plan(sizes.values(), stride=config.stride)
  sizes = {
    job: side for job, side in sizes.items() if budget.fits(frames[side], config, images=at_once)
  }
  groups, alike = [Group((job,)) for job in jobs if job not in sizes], {}
  for job, side in sizes.items():
    alike.setdefault(frames[side], []).append(job)
  for frame, members in alike.items():
    own = at_once == 1 and all(sizes[job] == frame for job in members)
    groups += [
      Group(tuple(members[i : i + at_once]), None if own else frame)
      for i in range(0, len(members), at_once)
    ]
  return groups


def _painter(params, contents, frame, colors, tile, seamless, shard, on_part):
  """The way to paint contents of one group."""
  content = contents[0]
  if frame is not None and all(c.shape[0] <= frame[0] and c.shape[1] <= frame[1] for c in contents):
    return painters.Framed(params, contents, frame, colors, jax.local_device_count())
  if seamless or shard:
    budget.check_fits(
      "--seamless" if seamless else "--shard",
      content.shape,
      budget.whole_bytes(params.config),
      "--size scales it",
    )
  if seamless:
    return painters.Whole(params, content, colors, seamless)
  if shard:
    return painters.Shared(params, content, colors)
  if tile is None and budget.fits(content.shape, params.config):
    return painters.Whole(params, content, colors)
  pixels = (
    budget.tile_pixels(content.shape, params.config) if tile is None else int(tile * 1_000_000)
  )
  return painters.Tiled(params, content, colors, pixels, on_part)


def _read_ahead(
  groups: Sequence[Group],
  size: int | None,
  controls: Controls,
  frames: int,
  on_note: Callable[[str], None],
) -> Iterator[tuple[Group, list[DecodedImage | InputError]]]:
  """Contents at the size of their output; the next ones are decoded while some are being used."""

  def read(job: Job) -> DecodedImage | InputError:
    try:
      budget.check_file(job.content, *image_size(job.content))
      image = encode.read(job.content, compact=True, on_note=on_note)
      height, width = image.rgb.shape[:2]
      controls.check_size(job.content, height, width)
      if size is not None:
        height, width = encode.fit_shorter_side(height, width, int(size))
      for path in job.outputs:
        encode.check_output_size(path, height, width, frames)
      for line in dict.fromkeys(encode.alpha_note(image.alpha, path) for path in job.outputs):
        if line is not None:
          on_note(f"{job.content}: {line}")
      return encode.resize(image, height, width)
    except InputError as error:
      return error

  def read_all(group: Group) -> list[DecodedImage | InputError]:
    return [read(job) for job in group.jobs]

  with ThreadPoolExecutor(1) as pool:
    ahead = None
    for group, following in zip(groups, [*groups[1:], None], strict=True):
      found = read_all(group) if ahead is None else ahead.result()
      # Where memory is scarce a large image waits until the one before is done.
      ahead = (
        pool.submit(read_all, following)
        if following is not None and budget.leaves_room(_pixels(following))
        else None
      )
      yield group, found


def _pixels(group: Group) -> int:
  """Of the files of a group, in all; what can't be read counts nothing."""
  total = 0
  for job in group.jobs:
    with contextlib.suppress(InputError):  # told when the image itself is read
      total += math.prod(image_size(job.content))
  return total


class _Writer:
  """Encodes and writes in a thread, one image behind; errors are raised at the next call."""

  def __enter__(self) -> "_Writer":
    self._pool = ThreadPoolExecutor(1)
    self._pending: Future | None = None
    return self

  def write(
    self, path: Path, frames: Sequence[np.ndarray], alpha: np.ndarray | None, quality: int
  ) -> None:
    self._finish()
    self._pending = self._pool.submit(
      animation.write_frames, path, frames, alpha, quality=int(quality)
    )
    self._path = path

  def _finish(self) -> None:
    if self._pending is None:
      return
    pending, self._pending = self._pending, None
    try:
      pending.result()
    except OSError as error:
      raise InputError(
        f"output {self._path}: found {error.strerror or error}, expected a file that can be written"
      ) from error

  def __exit__(self, kind, *unused) -> None:
    try:
      if kind is None:
        self._finish()
    finally:
      self._pool.shutdown()


@contextlib.contextmanager
def _memory_errors(path: Path) -> Iterator[None]:
  """Turns running out of memory into a message about the image."""
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError) as error:
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
      raise InputError(
        f"{path}: found an image too large for the memory, expected a smaller one; --size scales it"
      ) from error
    raise


def _check_parts(params: transfer.Params, weights: str | os.PathLike, *, sampling: bool) -> None:
  """Raises when the weights lack a part that the run needs."""
  needed = ["content_encoder", "style_encoder", "generator"]
  if sampling:
    needed.append("noise_generator")
  missing = [part for part in needed if getattr(params, part) is None]
  if missing:
    raise InputError(
      f"weights {weights}: found no {', '.join(missing)}, expected a file with " + ", ".join(needed)
    )
