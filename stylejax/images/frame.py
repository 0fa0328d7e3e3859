"""One frame of a sequence, as readers give it and writers take it.

Which reader and writer a path has is in frames.py; they are in animation.py and video.py.
"""

import dataclasses
from fractions import Fraction

import numpy as np


@dataclasses.dataclass(frozen=True)
class Frame:
  """One frame.

  Attributes:
    rgb: [H, W, 3] float32 in [0, 1], sRGB, upright; what is invisible has the colors of its visible
      neighbors.
    seconds: when it is shown, from the first frame's time.
    length: seconds for which it is shown, above 0.
    alpha: [H, W] float32 in [0, 1], 0 is invisible; None where everything is visible.
  """

  rgb: np.ndarray
  seconds: Fraction
  length: Fraction
  alpha: np.ndarray | None = None
