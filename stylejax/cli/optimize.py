"""`infer.py --method optimize`: its options, its progress, and the file it writes."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from stylejax.cli.paint_options import option
from stylejax.images import formats

_DESCRIPTION = """Paint one image by optimizing its pixels: minutes, where the nets take 0.1 s.

Examples:
  python infer.py --method optimize --content photo.jpg --style painting.jpg --output out.png
  python infer.py --method optimize --content photo.jpg --style painting.jpg --output out.png \\
      --size 512 --steps 200 --style-weight 8 --optimizer adam
"""
# (scale, share of the steps that are done when it is), from coarse to fine.
_SCALES = ((0.25, 0.5), (0.5, 0.8), (1.0, 1.0))


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `infer.py --method optimize`."""

  content: Annotated[str, option("The image to paint.", "PATH", "(required)")]
  style: Annotated[str, option("The image whose style to take.", "PATH", "(required)")]
  output: Annotated[
    str, option(f"The file to write ({formats.WRITTEN_SUFFIXES}).", "PATH", "(required)")
  ]
  method: Annotated[Literal["optimize"], tyro.conf.arg(help="What chose this command.")] = (
    "optimize"
  )
  size: Annotated[int, option("Shorter side of the output.", "PIXELS")] = 384
  style_size: Annotated[
    int | None,
    option(
      "Shorter side at which the style is read: smaller gives larger strokes.",
      "PIXELS",
      "(default: as the output)",
    ),
  ] = None
  steps: Annotated[
    int, option("In all: half of them at a quarter of the size, 3 of 10 at half of it.", "INTEGER")
  ] = 200
  style_weight: Annotated[float, option("How much style counts against content.", "NUMBER")] = 4.0
  optimizer: Annotated[
    Literal["lbfgs", "adam"],
    tyro.conf.arg(help="L-BFGS gets further in as many steps; Adam needs less memory."),
  ] = "lbfgs"
  quality: Annotated[int, option("Of JPEG and WebP, 1 to 100.", "INTEGER")] = 95


def main(arguments: Sequence[str]) -> int:
  """Runs the command and returns its exit status."""
  options = tyro.cli(Options, prog="infer.py", description=_DESCRIPTION, args=arguments)
  from stylejax.cli.console import exit_status

  return exit_status(lambda: _run(options))


def _run(options: Options) -> int:
  import time

  import jax
  import numpy as np

  from stylejax.cli.console import progress, say_note
  from stylejax.images import encode
  from stylejax.images.decode import read_image
  from stylejax.inference import budget
  from stylejax.inference.outputs import check_number, plan_outputs
  from stylejax.optimization.gram import optimize_image, optimize_scales
  from stylejax.runtime.compilation_cache import enable_cache
  from stylejax.runtime.files import printable
  from stylejax.runtime.jit import fast_jit, reuse_memory
  from stylejax.weights.perceptual import load_vgg

  started = time.perf_counter()
  check_number("--size", options.size, 64, 4096)
  check_number("--style-size", options.style_size, 64, 4096)
  check_number("--steps", options.steps, 3, 100_000)
  check_number("--style-weight", options.style_weight, 0, 1e6, whole=False)
  check_number("--quality", options.quality, 1, 100)
  paths = Path(options.content), Path(options.style)
  plan_outputs(paths[:1], [paths[1].stem], options.output, inputs=paths)
  content, style = (read_image(path) for path in paths)
  for image, path in zip((content, style), paths, strict=True):
    encode.check_side(image, path)
    for note in image.notes:
      say_note(f"{path}: {note}")
  if note := encode.alpha_note(content.alpha, options.output):
    say_note(f"{options.content}: {note}")
  sides = encode.fit_shorter_side(*content.rgb.shape[:2], options.size)
  encode.check_output_size(Path(options.output), *sides)
  budget.check_fits(options.content, sides, budget.OPTIMIZED_BYTES, "--size scales it")
  content = encode.resize(content, *sides)
  painting = encode.style_pixels(style, options.style_size or options.size)
  enable_cache()
  reuse_memory()
  bounds = [0, *(round(share * options.steps) for _, share in _SCALES)]
  scales = [
    (scale, end - start)
    for (scale, _), start, end in zip(_SCALES, bounds, bounds[1:])
    if end > start
  ]
  done = 0
  with progress() as (on_progress, *_):
    on_progress(0, options.steps)

    def report(number, loss):
      nonlocal done
      del number, loss
      done += 1
      on_progress(done, options.steps)

    run = fast_jit(optimize_image, static_argnames=("method", "report"))
    painted = optimize_scales(
      load_vgg(),
      content.rgb[None],
      painting[None],
      scales=scales,
      optimize=run,
      style_weight=np.float32(options.style_weight),
      method=options.optimizer,
      report=report,
    )
    rgb = np.asarray(painted[0])
    jax.effects_barrier()
  encode.write_image(options.output, rgb, content.alpha, quality=options.quality)
  print(
    f"wrote {printable(options.output)} in {time.perf_counter() - started:.1f} s, "
    f"{options.steps} steps"
  )
  return 0
