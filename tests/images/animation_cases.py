"""GIF and APNG animations whose frames depend on each other, and what must be drawn."""

import numpy as np

from tests.images.animation_files import BLUE, GREEN, NONE, RED, patched, plain, rgba

SMALL = plain(1, 2)
HIDDEN_MIDDLE = plain(1)
HIDDEN_MIDDLE[1:3, 1:3] = 3  # which the control calls transparent

GIF_CASES = {
  # (images, expected frames, whether FFmpeg agrees: it clears to the background color)
  "no disposal keeps": (
    [(0, 0, plain(0), 10, 1, None), (0, 0, SMALL, 10, 0, None), (2, 2, SMALL, 10, 0, None)],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((0, 0), GREEN), ((2, 2), GREEN))],
    True,
  ),
  "background becomes invisible": (
    [(0, 0, plain(0), 10, 1, 3), (0, 0, SMALL, 10, 2, 3), (2, 2, SMALL, 10, 1, 3)],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((0, 0), NONE), ((2, 2), GREEN))],
    True,
  ),
  "background without a transparent color": (
    [(0, 0, plain(0), 10, 1, None), (0, 0, SMALL, 10, 2, None), (2, 2, SMALL, 10, 1, None)],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((0, 0), NONE), ((2, 2), GREEN))],
    False,
  ),
  # Pillow 13.0.0 (GifImagePlugin._seek) keeps disposal 2 of the frame before: "seems to prevent the
  # last frame from looking odd". GIF89a, 23.c.iv: 0 means that no action is required.
  "unspecified after background": (
    [
      (0, 0, plain(0), 10, 1, 3),
      (0, 0, SMALL, 10, 2, 3),
      (2, 2, SMALL, 10, 0, 3),
      (2, 0, SMALL, 10, 0, 3),
    ],
    [
      patched(RED),
      patched(RED, ((0, 0), GREEN)),
      patched(RED, ((0, 0), NONE), ((2, 2), GREEN)),
      patched(RED, ((0, 0), NONE), ((2, 2), GREEN), ((2, 0), GREEN)),
    ],
    True,
  ),
  "previous is restored": (
    [(0, 0, plain(0), 10, 1, None), (0, 0, SMALL, 10, 3, None), (2, 2, SMALL, 10, 1, None)],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((2, 2), GREEN))],
    True,
  ),
  # GIF89a, section 23: what was there before is restored; before the first frame it was nothing.
  "previous of the first is nothing": (
    [(0, 0, plain(0), 10, 3, 3), (2, 2, SMALL, 10, 1, 3)],
    [patched(RED), patched(NONE, ((2, 2), GREEN))],
    True,
  ),
  # Pillow 13.0.0 fills the rest with the palette's first color.
  "small first frame": (
    [(1, 1, SMALL, 10, 1, None), (2, 2, plain(2, 2), 10, 1, None)],
    [patched(NONE, ((1, 1), GREEN)), patched(NONE, ((1, 1), GREEN), ((2, 2), BLUE))],
    False,
  ),
  "transparent pixels show what is below": (
    [(0, 0, plain(0), 10, 1, None), (0, 0, HIDDEN_MIDDLE, 10, 1, 3)],
    [patched(RED), patched(GREEN, ((1, 1), RED))],
    True,
  ),
}

HALF = np.array((0, 0, 255, 128), np.uint8)
APNG_CASES = {
  "source replaces": (
    {},
    [(0, 0, rgba(RED), (1, 10), 0, 0), (0, 0, rgba(NONE, 2), (1, 10), 0, 0)],
    [patched(RED), patched(RED, ((0, 0), NONE))],
  ),
  "over blends": (
    {},
    [(0, 0, rgba(RED), (1, 10), 0, 0), (0, 0, np.broadcast_to(HALF, (2, 2, 4)), (1, 10), 0, 1)],
    # 128/255 of blue over red.
    [patched(RED), patched(RED, ((0, 0), (127, 0, 128)))],
  ),
  "background becomes invisible": (
    {},
    [
      (0, 0, rgba(RED), (1, 10), 0, 0),
      (0, 0, rgba(GREEN, 2), (1, 10), 1, 0),
      (2, 2, rgba(GREEN, 2), (1, 10), 0, 0),
    ],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((0, 0), NONE), ((2, 2), GREEN))],
  ),
  "previous is restored": (
    {},
    [
      (0, 0, rgba(RED), (1, 10), 0, 0),
      (0, 0, rgba(GREEN, 2), (1, 10), 2, 0),
      (2, 2, rgba(GREEN, 2), (1, 10), 0, 0),
    ],
    [patched(RED), patched(RED, ((0, 0), GREEN)), patched(RED, ((2, 2), GREEN))],
  ),
  # An IDAT before the first fcTL is not a frame; Pillow 13.0.0 returns it as frame 0.
  "hidden default image": (
    {"hidden": rgba(BLUE)},
    [(0, 0, rgba(RED), (1, 10), 0, 0), (0, 0, rgba(GREEN, 2), (1, 10), 0, 0)],
    [patched(RED), patched(RED, ((0, 0), GREEN))],
  ),
  # ... and what the first frame doesn't cover is invisible; Pillow shows the default image there.
  "hidden default image and a small first frame": (
    {"hidden": rgba(BLUE)},
    [(1, 1, rgba(RED, 2), (1, 10), 0, 1), (0, 0, rgba(GREEN, 2), (1, 10), 0, 0)],
    [patched(NONE, ((1, 1), RED)), patched(NONE, ((1, 1), RED), ((0, 0), GREEN))],
  ),
}
