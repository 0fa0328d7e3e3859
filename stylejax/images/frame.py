"""One frame of a sequence, as readers return it and writers accept it.

frames.py chooses the reader and writer for a path; they are in animation.py, frame_folders.py and
video/.
"""

import dataclasses
from fractions import Fraction

import numpy as np


@dataclasses.dataclass(frozen=True)
class Frame:
  """One frame.

  Attributes:
    rgb: [H, W, 3] float32 in [0, 1], sRGB, upright; invisible pixels have the colors of their
      visible neighbors.
    seconds: when it is shown, from the start of the sequence.
    length: seconds for which it is shown, above 0.
    alpha: [H, W] float32 in [0, 1], 0 is invisible; None if everything is opaque.
  """

  rgb: np.ndarray
  seconds: Fraction
  length: Fraction
  alpha: np.ndarray | None = None
