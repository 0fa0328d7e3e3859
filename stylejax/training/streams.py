"""The images that a training run reads: its two streams, and the few images that grids show.

`stylejax.data` makes batches of them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stylejax.data.crops import random_resized_crop
from stylejax.data.shards import Joined
from stylejax.data.sources import open_images, require_readable
from stylejax.errors import InputError
from stylejax.images.decode import decode_rgb
from stylejax.runtime import distributed
from stylejax.training.config import TrainConfig

PREVIEW_ROWS = 4
"""How many images of each stream the grids show."""

SAMPLES = Path(__file__).parent.parent / "assets" / "samples"


def open_streams(config: TrainConfig) -> tuple[Sequence | None, Sequence | None]:
  """Opens a config's (content, style) images; without a style stream the first holds both.

  Raises:
    InputError: a folder doesn't exist, or an image can't be read.
  """
  content = (
    _images(config, config.content_dir, "--content-dir", "content")
    if "content" in config.streams
    else None
  )
  style = _images(config, config.style_dir, "--style-dir", "style")
  if "style" in config.streams:
    return content, style
  return Joined([part for part in (content, style) if part is not None]), None


def _images(config: TrainConfig, place: str | None, flag: str, sample: str) -> Sequence:
  if place is None:
    distributed.say(f"{flag}: not given, so the package's {sample} samples are used")
  images = open_images(
    place or SAMPLES / sample, flag=flag, tar_images=config.tar_images, say=distributed.say
  )
  require_readable(images, flag)
  return images


def preview_images(content: Sequence | None, style: Sequence | None, size: int):
  """Crops of the first readable images of each stream, for grids.

  Returns:
    [PREVIEW_ROWS, 2·size, 2·size, 3] uint8 for each stream, or None for a missing stream.
  """

  def crops(paths):
    if paths is None:
      return None
    crops_of_rows = []
    for place in np.random.default_rng(0).permutation(len(paths)):
      try:
        image = decode_rgb(paths[place])
      except InputError:
        continue
      crops_of_rows.append(
        random_resized_crop(image, np.random.default_rng(place), size=2 * size, scale=(1.0, 1.0))
      )
      if len(crops_of_rows) == PREVIEW_ROWS:
        break
    return np.stack([crops_of_rows[i % len(crops_of_rows)] for i in range(PREVIEW_ROWS)])

  return crops(content), crops(style)
