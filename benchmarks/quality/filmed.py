"""Real films, whose motion OpenCV estimates: the other clips of flicker.py.

Our own estimate is not used, so that it isn't judged by itself.
"""

from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from benchmarks.quality import clips
from stylejax import motion
from stylejax.errors import InputError
from stylejax.images import encode
from stylejax.images.decode import DecodedImage
from stylejax.images.frames import Source


def middle(path: Path, count: int, size: int) -> clips.Clip:
  """The middle frames of a film, at a shorter side of at most `size` pixels.

  Args:
    path: a folder of images, an animation or a video.
    count: how many frames.
    size: in pixels; smaller films stay as they are.

  Raises:
    InputError: the film is shorter.
  """
  source = Source(path, 25.0)
  shots = [np.asarray(frame.rgb) for frame in source]
  if len(shots) < count:
    raise InputError(f"--films: found {len(shots)} frames in {path}, expected at least {count}")
  start = (len(shots) - count) // 2
  sides = encode.fit_shorter_side(*shots[0].shape[:2], min(size, *shots[0].shape[:2]))
  images = [
    encode.as_float(encode.resize(DecodedImage(shot, None, "RGB"), *sides).rgb)
    for shot in shots[start : start + count]
  ]
  gray = [cv2.cvtColor(np.uint8(255 * image + 0.5), cv2.COLOR_RGB2GRAY) for image in images]
  return clips.Clip(images, [estimated_flow(*pair) for pair in zip(gray[1:], gray)])


def estimated_flow(frame: np.ndarray, before: np.ndarray) -> motion.Flow:
  """The motion between two gray frames, [H, W] uint8, by OpenCV's dense inverse search.

  A pixel counts as visible if it was inside the frame before and the motion there and back returns
  it to where it was.

  Source of the bound: Sundaram et al. 2010, "Dense point trajectories by GPU-accelerated large
  displacement optical flow".
  """
  search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
  there, back = (search.calc(*pair, None) for pair in ((frame, before), (before, frame)))
  x, y = np.moveaxis(there, -1, 0)
  rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]]
  returned = np.stack(
    [
      map_coordinates(back[..., axis], [rows + y, columns + x], order=1, mode="nearest")
      for axis in (0, 1)
    ],
    -1,
  )
  gap, there_length, back_length = (
    np.square(v).sum(-1) for v in (there + returned, there, returned)
  )
  agree = gap <= 0.01 * (there_length + back_length) + 0.5
  return motion.Flow(there, np.float32(agree & clips.inside(there))[..., None])
