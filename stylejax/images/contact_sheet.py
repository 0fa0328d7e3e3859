"""Contact sheets: rows of images on white, with titles above columns and labels before rows.

Callers choose the images; the sheet is written by encode.py.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def contact_sheet(
  rows: Sequence[Sequence[np.ndarray | None]],
  *,
  titles: Sequence[str] = (),
  labels: Sequence[str] = (),
  gap: int = 0,
  font_size: int = 16,
) -> np.ndarray:
  """Lays images out in rows, each column as wide as its widest image.

  Args:
    rows: images [H, W, 3], float in [0, 1] or uint8, of any size; None leaves a cell white, and so
      does a row that is shorter than others.
    titles: text above the columns, if any.
    labels: text before the rows, if any.
    gap: white pixels around every image.
    font_size: the size of titles and labels, in pixels.

  Returns:
    [H, W, 3] float32 in [0, 1], with the images at their own size.
  """
  columns = max(map(len, rows))
  heights = [max(image.shape[0] for image in row if image is not None) for row in rows]
  cells: Sequence[Sequence[Any]] = rows
  widths = [
    max((row[c].shape[1] for row in cells if c < len(row) and row[c] is not None), default=0)
    for c in range(columns)
  ]
  font = ImageFont.load_default(font_size)
  head = font_size + 10 if titles else gap
  margin = 2 * gap + int(max(map(font.getlength, labels))) if labels else gap
  tops = head + np.cumsum([0, *(height + gap for height in heights)])
  lefts = margin + np.cumsum([0, *(width + gap for width in widths)])
  text = Image.new("RGB", (int(lefts[-1]), int(tops[-1])), "white")
  draw = ImageDraw.Draw(text)
  for title, left in zip(titles, lefts):
    draw.text((int(left), 4), title, "black", font)
  for label, top, height in zip(labels, tops, heights):
    draw.text((gap, int(top) + height // 2), label, "black", font, anchor="lm")
  sheet = np.asarray(text, np.float32) / 255
  for row, top in zip(rows, tops):
    for image, left in zip(row, lefts):
      if image is not None:
        scale = np.float32(255 if image.dtype == np.uint8 else 1)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image / scale
  return sheet
