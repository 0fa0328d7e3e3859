"""Many pictures: the loop that reads contents and styles and writes every pair of them.

This is what infer.py calls. What the outputs are called is decided in plan.py; one pair is
`stylejax.stylize`.
"""

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

from stylejax import transfer
from stylejax.compiler import compiler_options
from stylejax.data.pictures import Picture, read_picture
from stylejax.errors import InputError
from stylejax.inference import pictures
from stylejax.inference.plan import Job, check_number, plan_outputs
from stylejax.inference.weights import load_pretrained

MAX_SIZE = 16_384
"""Largest shorter side of an output that `size` may ask for, in pixels."""

MAX_STYLE_SIZE = 4_096
"""Largest shorter side at which a style may be read, in pixels."""


@functools.cache
def _jit(step: Callable) -> Callable:
  """One of the steps, compiled; apart instead of one `stylize`, so nothing is read twice."""
  return jax.jit(step, compiler_options=compiler_options())


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
    strength: float = 1.0,
    size: int | None = None,
    style_size: int = 256,
    seed: int | None = None,
    weights: str | os.PathLike = "base",
    quality: int = 95,
    extension: str = "png",
    resume: bool = False,
    share: tuple[int, int] = (0, 1),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_skip: Callable[[str], None] = lambda message: None,
) -> Report:
  """Stylizes files: every content in every style.

  Of several contents or styles, those that can't be read are skipped and reported.

  Args:
    content: files or folders.
    style: files or folders; may be empty when `seed` is given.
    output: a file for one content in one style, else a folder, which is made if its parent is
      there. Files in it are called <content>_<style>.<extension>.
    strength: 0 (the content itself) over 1 (as trained) to 2.
    size: shorter side in pixels to which the content is scaled before it is stylized, and so the
      output's; None keeps the content's own size.
    style_size: shorter side in pixels at which a style is read; smaller means larger strokes.
    seed: adds a style that the noise generator invents, called seed<seed>.
    weights: a packaged name or a file.
    quality: 1 to 100, of JPEG and WebP.
    extension: of files in a folder: "png", "jpg" or "webp".
    resume: leaves out what is there already: outputs are whole or not there.
    share: (i, n) paints every n-th content only, from number i on, as one of n processes does.
    on_progress: called with the number of pictures done (or skipped) and their total.
    on_skip: called with one line for each file that is skipped.

  Returns:
    The Report.

  Raises:
    InputError: anything wrong with the above. Only a full disk, or a picture beyond the memory,
      can come after the first file of several has been written.
  """
  started = time.perf_counter()
  check_number("--strength", strength, 0, transfer.MAX_STRENGTH, whole=False)
  check_number("--size", size, pictures.MIN_SIDE, MAX_SIZE)
  check_number("--style-size", style_size, pictures.MIN_SIDE, MAX_STYLE_SIZE)
  check_number("--seed", seed, 0, 2**32 - 1)
  check_number("--quality", quality, 1, 100)
  contents = pictures.find_pictures(content, "--content")
  styles = pictures.find_pictures(style, "--style")
  if not contents:
    raise InputError("--content: found nothing, expected a picture or a folder of pictures")
  if not styles and seed is None:
    raise InputError("--style: found nothing, expected a picture, a folder of pictures, or --seed")
  names = [path.stem for path in styles] + ([] if seed is None else [f"seed{seed}"])
  jobs = plan_outputs(
      contents, names, output, extension=extension, inputs=[*contents, *styles],
      prefer_folder=any(map(os.path.isdir, [*content, *style])))
  alone = len(jobs) == 1
  jobs = [job for job in jobs[share[0]::share[1]] if not (resume and job.is_done())]
  if not jobs:
    return Report((), (), time.perf_counter() - started)

  skipped: list[str] = []

  def skip(error: InputError, *, alone: bool) -> None:
    if alone:
      raise error
    skipped.append(str(error))
    on_skip(str(error))

  params = load_pretrained(weights)
  _check_parts(params, weights, sampling=seed is not None)
  codes = {}
  for index, path in enumerate(styles):
    try:
      codes[index] = _jit(transfer.encode_style)(
        params, pictures.style_pixels(_read(path), style_size))
    except InputError as error:
      skip(error, alone=len(names) == 1)
  if seed is not None:
    codes[len(styles)] = _jit(transfer.sample_style)(params, jax.random.key(seed))
  if not codes:
    raise InputError(f"--style: found no readable picture among {len(styles)}, expected one or "
                     f"more; {skipped[0]}")

  written: list[Path] = []
  total = len(jobs) * len(codes)
  on_progress(0, total)
  with _folder(jobs[0].outputs[0].parent), _Writer() as writer:
    for number, (job, picture) in enumerate(_read_ahead(jobs, size)):
      if isinstance(picture, InputError):
        skip(picture, alone=alone)
      else:
        with _memory_errors(job.content):
          content_code = _jit(transfer.encode_content)(params, picture.rgb)
          for done, (index, style_code) in enumerate(codes.items()):
            if resume and job.outputs[index].exists():
              continue
            rgb = np.asarray(_jit(transfer.generate)(
                params, content_code, style_code, strength=np.float32(strength)))
            writer.write(job.outputs[index], rgb, picture.alpha, quality)
            written.append(job.outputs[index])
            on_progress(number * len(codes) + done + 1, total)
      on_progress((number + 1) * len(codes), total)
    if not written and share[1] == 1:
      raise InputError(f"--content: found no readable picture among {len(jobs)}, expected one or "
                       f"more; {skipped[-len(jobs)]}")
  return Report(tuple(written), tuple(skipped), time.perf_counter() - started)


def _read(path: Path) -> Picture:
  """A picture that is large enough."""
  picture = read_picture(path)
  pictures.check_side(picture, path)
  return picture


def _read_ahead(
    jobs: Sequence[Job], size: int | None
) -> Iterator[tuple[Job, Picture | InputError]]:
  """Contents at the size of their output; the next one is decoded while one is being used."""

  def read(job: Job) -> Picture | InputError:
    try:
      picture = _read(job.content)
      height, width = picture.rgb.shape[:2]
      if size is not None:
        height, width = pictures.fit_shorter_side(height, width, int(size))
      for path in job.outputs:
        pictures.check_output_size(path, height, width)
      return pictures.resize(picture, height, width)
    except InputError as error:
      return error

  with ThreadPoolExecutor(1) as pool:
    ahead = pool.submit(read, jobs[0])
    for job, following in zip(jobs, [*jobs[1:], None], strict=True):
      picture = ahead.result()
      if following is not None:
        ahead = pool.submit(read, following)
      yield job, picture


class _Writer:
  """Encodes and writes in a thread, one picture behind; errors are raised at the next call."""

  def __enter__(self) -> "_Writer":
    self._pool = ThreadPoolExecutor(1)
    self._pending: Future | None = None
    return self

  def write(self, path: Path, rgb: np.ndarray, alpha: np.ndarray | None, quality: int) -> None:
    self._finish()
    self._pending = self._pool.submit(
        pictures.write_picture, path, rgb, alpha, quality=int(quality))
    self._path = path

  def _finish(self) -> None:
    if self._pending is None:
      return
    pending, self._pending = self._pending, None
    try:
      pending.result()
    except OSError as error:
      raise InputError(f"output {self._path}: found {error.strerror or error}, expected a file "
                       "that can be written") from error

  def __exit__(self, kind, *unused) -> None:
    try:
      if kind is None:
        self._finish()
    finally:
      self._pool.shutdown()


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
  """Makes the outputs' folder if it is not there, and takes an empty one away after an error."""
  made = not path.is_dir()
  if made:
    try:
      path.mkdir(exist_ok=True)
    except OSError as error:
      raise InputError(f"output folder {path}: found {error.strerror}, expected a folder that can "
                       "be made") from error
  try:
    yield
  except BaseException:
    if made:
      with contextlib.suppress(OSError):  # not empty: earlier pictures stay
        path.rmdir()
    raise


@contextlib.contextmanager
def _memory_errors(path: Path) -> Iterator[None]:
  """Turns running out of memory into a message about the picture."""
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError) as error:
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
      raise InputError(f"{path}: found a picture too large for the memory, expected a smaller one; "
                       "--size scales it") from error
    raise


def _check_parts(
    params: transfer.Params, weights: str | os.PathLike, *, sampling: bool
) -> None:
  """Raises when the weights lack a part that the run needs."""
  needed = ["content_encoder", "style_encoder", "generator"]
  if sampling:
    needed.append("noise_generator")
  missing = [part for part in needed if getattr(params, part) is None]
  if missing:
    raise InputError(f"weights {weights}: found no {', '.join(missing)}, expected a file with "
                     + ", ".join(needed))
