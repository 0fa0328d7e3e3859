"""Stylizes many images from file to file: every content in every style, or in a mixture of styles.

The command `paint` calls this. `stylizer` does a stylization, or `optimized` for methods without
training; names of outputs are planned in `outputs`, styles and regions in `request`.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from stylejax.errors import InputError
from stylejax.images.decode import DecodedImage
from stylejax.images.find import find_images
from stylejax.images.formats import READ_SUFFIXES
from stylejax.inference.files import (
  ContentReader,
  Group,
  ImageWriter,
  group_by_size,
  memory_errors,
  naming_output,
)
from stylejax.inference.method_table import METHODS, NETWORK
from stylejax.inference.outputs import Job, plan_outputs
from stylejax.inference.paint_request import DESCENT_SIZE, Callbacks, Report, Request
from stylejax.inference.request import ControlMaps, Region, StyleMix, plan_mixes, plan_regions
from stylejax.inference.styles import StyleImageReader, StyleReader, style_scale
from stylejax.inference.stylizer import Stylizer
from stylejax.runtime.files import check_apart, check_writable
from stylejax.runtime.folders import making
from stylejax.transfer import Params


class Plan(NamedTuple):
  """All that a request asks for, known before anything is decoded."""

  jobs: list[Job]
  mixes: list[StyleMix]
  regions: list[Region]
  strength_map: Path | None
  style_size: int


def stylize_files(
  request: Request, *, process: tuple[int, int] = (0, 1), callbacks: Callbacks | None = None
) -> Report:
  """Stylizes files; among several contents or styles, those that can't be read are skipped.

  Args:
    request: what to do.
    process: (i, n) for process i of n, which takes every n-th content, starting with number i.
    callbacks: for progress and notes.

  Returns:
    The Report.

  Raises:
    InputError: something is wrong with the request. Only a full disk, or an image too large for the
      memory, can raise it after the first of several files has been written.
  """
  started = time.perf_counter()
  callbacks = callbacks or Callbacks()
  plan = make_plan(request, on_note=callbacks.on_note)
  jobs = [
    job for job in plan.jobs[process[0] :: process[1]] if not (request.resume and job.is_done())
  ]
  if not jobs:
    return Report((), (), time.perf_counter() - started)
  run = _Run(request, plan, jobs, callbacks, alone=len(plan.jobs) == 1)
  run.stylize_all(may_write_none=process[1] > 1)
  return Report(tuple(run.written), tuple(run.skipped), time.perf_counter() - started)


def make_plan(request: Request, *, on_note: Callable[[str], None]) -> Plan:
  """Checks a request and names all outputs.

  Raises:
    InputError: something is wrong that can be detected without decoding an image.
  """
  request.check()
  style_size = style_scale(request.stroke, request.style_size)
  notes: list[str] = []  # passed on only if there is no mistake, which is reported in one line
  contents = find_images(request.content, "--content", on_note=notes.append)
  regions = plan_regions(request.mask)
  mixes = plan_mixes(
    request.style,
    seed=request.seed,
    regions=regions,
    steps=request.interpolate,
    on_note=notes.append,
  )
  if not contents:
    raise InputError("--content: found nothing, expected an image or a folder of images")
  sources = [source for mix in mixes for source in mix.sources]
  sources += [region.source for region in regions]
  strength_map = None
  if request.strength_map is not None:
    (strength_map,) = find_images([request.strength_map], "--strength-map")
  folders = [path for path in (*request.content, *request.style) if os.path.isdir(path)]
  inputs = [
    *contents,
    *(region.mask for region in regions),
    *([] if strength_map is None else [strength_map]),
    *(source.path for source in sources if source.path),
    *map(Path, filter(os.path.isfile, [request.weights, request.library or ""])),
  ]
  jobs = plan_outputs(
    contents,
    [mix.name for mix in mixes],
    request.output,
    extension=request.extension,
    inputs=inputs,
    folders=folders,
    prefer_folder=bool(folders),
    animated=request.interpolate is not None,
  )
  if request.watch is not None:
    check_writable(Path(request.watch), "--watch")
    check_apart([request.watch], inputs, folders=folders, reads=READ_SUFFIXES, what="--watch")
  for note in notes:
    on_note(note)
  return Plan(jobs, mixes, regions, strength_map, style_size)


class _Run:
  """A run: its weights, style codes and maps, and what it has written and skipped so far."""

  def __init__(
    self, request: Request, plan: Plan, jobs: list[Job], callbacks: Callbacks, *, alone: bool
  ):
    self.written: list[Path] = []
    self.skipped: list[str] = []
    self._request, self._plan, self._jobs = request, plan, jobs
    self._callbacks, self._alone = callbacks, alone
    self._stylizer = Stylizer(request.weights)
    sources = [source for mix in plan.mixes for source in mix.sources]
    _check_parts(
      self._stylizer.params,
      request.weights,
      painting=METHODS[request.method].needs_networks,
      sampling=any(source.seed is not None for source in sources),
    )
    self._descents = None
    if request.method != NETWORK:
      # Imported only here, since what optimizes pixels takes time to import.
      from stylejax.inference.descents import Descents

      self._descents = Descents(request, plan.mixes, plan.regions, self._stylizer, callbacks)
    self._codes = self._read_styles()
    self._maps = ControlMaps.read(
      plan.regions, request.strength, plan.strength_map, on_note=callbacks.on_note
    )
    self._total = len(jobs) * len(self._codes)

  def stylize_all(self, *, may_write_none: bool) -> None:
    """Stylizes and writes all jobs; raises InputError if none could be, unless may_write_none."""
    config = self._stylizer.params.config
    fixed_size = self._maps.files or self._request.tile or self._request.seamless
    if fixed_size or self._request.shard or self._descents:
      groups = [Group((job,)) for job in self._jobs]
    else:
      known = self._stylizer.known_buckets() if jax.local_device_count() == 1 else ()
      groups = group_by_size(self._jobs, self._request.size, config, known=known)
    reader = ContentReader(
      self._request.size,
      self._maps,
      len(self._plan.mixes[0].mixtures),
      most=DESCENT_SIZE if self._descents else None,
      on_note=self._callbacks.on_note,
    )
    folders = dict.fromkeys(path.parent for job in self._jobs for path in job.outputs)
    done = 0
    self._callbacks.on_progress(0, self._total)
    kept = self._descents or contextlib.nullcontext()
    with making(folders, "output"), kept, ImageWriter(int(self._request.quality)) as writer:
      for group, images in reader.read_ahead(groups):
        for image in images:
          if isinstance(image, InputError):
            self._skip(image, alone=self._alone)
        ready = [
          (job, image)
          for job, image in zip(group.jobs, images, strict=True)
          if isinstance(image, DecodedImage)
        ]
        if ready:
          with memory_errors(ready[0][0].content):
            self._stylize_group(group, ready, writer, done)
        done += len(group.jobs) * len(self._codes)
        self._callbacks.on_progress(done, self._total)
      if not self.written and not may_write_none:  # raised in here, so that no empty folder stays
        raise InputError(
          f"--content: found no readable image among {len(self._jobs)}, expected one or more; "
          f"{self.skipped[-len(self._jobs)]}"
        )

  def _stylize_group(
    self, group: Group, ready: list[tuple[Job, DecodedImage]], writer: ImageWriter, done: int
  ) -> None:
    """Stylizes the contents of a group in every mix and hands them to the writer."""
    request, prepared, count = self._request, None, 0
    for index, codes in self._codes.items():
      missing = [not (request.resume and job.outputs[index].exists()) for job, _ in ready]
      if not any(missing):
        continue
      prepared, kept, stylized = prepared or self._prepare(group, ready), None, []
      if self._descents is not None:
        kept = prepared.unfinished = self._descents.unfinished(ready[0][0], index)
      for mixture in self._plan.mixes[index].mixtures:
        weights, strength = self._maps.at(mixture, ready[0][1].rgb.shape[:2])
        with naming_output(ready[0][0].outputs[index]):
          stylized.append(
            prepared.stylize(
              codes if weights is not None else codes[:1],
              weights=weights,
              strength=strength,
              dtype=np.uint8,
              on_progress=self._callbacks.on_part,
              **request.controls,
            )
          )
      for place, (job, image) in enumerate(ready):
        if missing[place]:
          writer.write(
            job.outputs[index],
            [each[place] for each in stylized],
            image.alpha,
            then=None if kept is None else kept.remove,
          )
          self.written.append(job.outputs[index])
          count += 1
          self._callbacks.on_progress(done + count, self._total)

  def _prepare(self, group: Group, ready: list[tuple[Job, DecodedImage]]) -> Any:
    """Gives a group's contents to the requested method or backend, or else to one that fits."""
    if self._descents is not None:
      return self._descents.prepare(*ready[0])
    bucket, request, contents = group.bucket, self._request, [image.rgb for _, image in ready]
    if bucket is not None and all(
      c.shape[0] <= bucket[0] and c.shape[1] <= bucket[1] for c in contents
    ):
      return self._stylizer.prepare_padded(contents, bucket, devices=jax.local_device_count())
    return self._stylizer.prepare(
      contents[0],
      seamless=request.seamless or "",
      tile_pixels=None if request.tile is None else int(request.tile * 1_000_000),
      shard=request.shard,
    )

  def _read_styles(self) -> dict[int, list]:
    """Reads the styles of each readable mix and of the regions, as codes or images, by index."""
    sources: dict[str, Any] = {"library": self._request.library, "on_note": self._callbacks.on_note}
    reader: StyleReader | StyleImageReader
    if self._descents is None:
      reader = StyleReader(self._stylizer, self._plan.style_size, **sources)
    else:
      reader = StyleImageReader(self._stylizer, **sources)
    regions = [reader.read(region.source) for region in self._plan.regions]
    codes = {}
    for index, mix in enumerate(self._plan.mixes):
      try:
        codes[index] = [*map(reader.read, mix.sources), *regions]
      except InputError as error:
        # A mixture needs all of its styles.
        self._skip(error, alone=len(self._plan.mixes) == 1)
    if not codes:
      raise InputError(
        f"--style: found no readable image among {len(self._plan.mixes)}, expected one or "
        f"more; {self.skipped[0]}"
      )
    return codes

  def _skip(self, error: InputError, *, alone: bool) -> None:
    if alone:
      raise error
    self.skipped.append(str(error))
    self._callbacks.on_skip(str(error))


def _check_parts(
  params: Params, weights: str | os.PathLike, *, painting: bool, sampling: bool
) -> None:
  """Raises InputError if the weights lack a part that the run needs."""
  needed = ["content_encoder", "style_encoder", "generator"] if painting else []
  if sampling:
    needed.append("noise_generator")
  missing = [part for part in needed if getattr(params, part) is None]
  if missing:
    raise InputError(
      f"weights {weights}: found no {', '.join(missing)}, expected a file with " + ", ".join(needed)
    )
