"""Feeds damaged bytes to the readers of images, animations and weights, guided by coverage.

    pip install atheris
    python tools/fuzz.py images --seconds 120
    python tools/fuzz.py weights --seconds 120
    python tools/fuzz.py frames --seconds 120

Bytes may give a valid result or an InputError of one line. Anything else ends the run with a
traceback, and the bytes are kept as crash-… in the current folder.
"""

import dataclasses
import io
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Literal

import atheris
import tyro

with atheris.instrument_imports(include=["PIL", "stylejax"]):
  import jax
  import numpy as np
  from PIL import Image

  import stylejax
  from stylejax.errors import InputError
  from stylejax.images.animation import AnimationReader
  from stylejax.images.decode import read_image
  from stylejax.weights.model_file import load_weights

MAX_PIXELS = 250_000


def image_seeds():
  """One small file of each format and mode."""
  rng = np.random.default_rng(0)
  image = Image.fromarray(rng.integers(0, 256, (24, 20, 3)).astype(np.uint8))
  cases = [
    ("PNG", "RGB"),
    ("PNG", "P"),
    ("PNG", "1"),
    ("PNG", "I;16"),
    ("PNG", "RGBA"),
    ("JPEG", "RGB"),
    ("JPEG", "CMYK"),
    ("JPEG", "L"),
    ("WEBP", "RGB"),
    ("BMP", "RGB"),
    ("TIFF", "RGB"),
    ("TIFF", "CMYK"),
    ("GIF", "P"),
  ]
  for form, mode in cases:
    file = io.BytesIO()
    wide = Image.fromarray(rng.integers(0, 65536, (24, 20)).astype(np.uint16))
    (wide if mode == "I;16" else image.convert(mode)).save(file, form)
    yield file.getvalue()
  file = io.BytesIO()
  image.convert("P").save(file, "GIF", save_all=True, append_images=[image.rotate(90).convert("P")])
  yield file.getvalue()
  for form in ("PNG", "WEBP"):
    file = io.BytesIO()
    image.save(file, form, save_all=True, append_images=[image.rotate(90)], duration=[50, 80])
    yield file.getvalue()
  for form in ("AVIF", "JPEG2000", "PPM"):
    file = io.BytesIO()
    image.save(file, form)
    yield file.getvalue()
  yield from bytes_by_hand()


def bytes_by_hand():
  """What Pillow doesn't write: 16-bit colors, color chunks, profiles, planes, pages."""
  sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "images"))
  import image_bytes as files

  rgb = np.random.default_rng(0).integers(0, 65536, (6, 9, 3)).astype(np.uint16)
  yield files.png(rgb, files.cicp(9, 16))
  yield files.png(rgb, files.iccp(files.GAMMA_18_RGB))
  yield files.png(rgb[..., :2], files.gamma(1.0))
  yield files.tiff(rgb, planar=True, rows=2)
  yield files.tiff(rgb, {34675: (7, list(files.LINEAR_RGB))}, pages=2)
  yield files.tiff(rgb[..., 0], {262: (3, [0]), 281: (3, [4095])})
  yield files.tiff(np.float32(rgb[..., 0]))


def weight_seeds():
  """A weights file of the smallest possible nets."""
  config = stylejax.ModelConfig(
    content_widths=(1, 1),
    content_blocks=(0, 0),
    decoder_blocks=0,
    style_widths=(1,),
    style_dim=1,
    disc_widths=(1,),
    disc_scales=1,
    noise_dim=1,
    noise_base=1,
    noise_width=1,
    noise_stages=0,
  )
  shapes = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), config))
  params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
  with tempfile.TemporaryDirectory() as folder:
    path = stylejax.save_weights(
      Path(folder) / "w.safetensors", params.replace(discriminator=None, noise_generator=None)
    )
    yield path.read_bytes()


def sound_image(path: Path) -> None:
  image = read_image(path, max_pixels=MAX_PIXELS)
  assert image.rgb.dtype == np.float32 and image.rgb.ndim == 3
  assert np.isfinite(image.rgb).all() and 0 <= image.rgb.min() <= image.rgb.max() <= 1


def sound_frames(path: Path) -> None:
  reader = AnimationReader(path, Fraction(25), lambda line: None, max_pixels=MAX_PIXELS)
  for number, frame in enumerate(reader):
    assert frame.rgb.ndim == 3 and frame.length > 0 and np.isfinite(frame.rgb).all()
    if number == 3:
      break


def sound_weights(path: Path) -> None:
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(load_weights(path)))


READERS = {
  "images": (sound_image, image_seeds),
  "frames": (sound_frames, image_seeds),
  "weights": (sound_weights, weight_seeds),
}


@dataclasses.dataclass(frozen=True)
class Options:
  """Which reader to feed, and for how long."""

  reader: tyro.conf.Positional[Literal["images", "frames", "weights"]]
  """Reader that gets the bytes."""
  seconds: int = 120
  """Seconds after which to stop."""


def main(options: Options) -> None:
  """Feeds one reader until the time is up."""
  read, seeds = READERS[options.reader]
  counts = {"sound": 0, "refused": 0}
  with tempfile.TemporaryDirectory() as folder:
    corpus, path = Path(folder) / "corpus", Path(folder) / "input"
    corpus.mkdir()
    for number, content in enumerate(seeds()):
      (corpus / str(number)).write_bytes(content)

    def check(content: bytes) -> None:
      path.write_bytes(content)
      try:
        read(path)
        counts["sound"] += 1
      except InputError as error:
        assert "\n" not in str(error), error
        counts["refused"] += 1
      total = sum(counts.values())
      if total & (total - 1) == 0:  # libFuzzer ends the process: what it prints last is the result
        print(f"{total} inputs: {counts}", file=sys.stderr)

    atheris.Setup(
      [
        sys.argv[0],
        f"-max_total_time={options.seconds}",
        "-timeout=20",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        str(corpus),
      ],
      check,
    )
    atheris.Fuzz()


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
