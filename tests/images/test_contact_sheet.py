"""A contact sheet shows images unchanged; what is beside them is white or text."""

import numpy as np

from stylejax.images.contact_sheet import contact_sheet


def test_images_of_any_size_stand_where_they_should(rng):
  first, second = rng.random((5, 7, 3), np.float32), rng.random((3, 4, 3), np.float32)
  third = rng.integers(0, 256, (4, 9, 3)).astype(np.uint8)
  sheet = contact_sheet([[first, second], [None, third]], gap=2)
  assert sheet.shape == (2 + 5 + 2 + 4 + 2, 2 + 7 + 2 + 9 + 2, 3)
  np.testing.assert_array_equal(sheet[2:7, 2:9], first)
  np.testing.assert_array_equal(sheet[2:5, 11:15], second)
  np.testing.assert_allclose(sheet[9:13, 11:20], third / 255, atol=1e-6)
  for place in ((2, 2, 5, 7), (2, 11, 3, 4), (9, 11, 4, 9)):
    top, left, height, width = place
    sheet[top : top + height, left : left + width] = 1
  assert (sheet == 1).all()


def test_without_a_gap_images_touch_and_a_short_row_ends_white():
  cells = [np.zeros((2, 2, 3), np.float32)] * 3
  sheet = contact_sheet([cells[:2], cells[2:]])
  assert sheet.shape == (4, 4, 3)
  assert (sheet[:2] == 0).all() and (sheet[2:, :2] == 0).all() and (sheet[2:, 2:] == 1).all()


def test_titles_and_labels_take_room_and_are_drawn():
  image = np.ones((20, 60, 3), np.float32)
  plain = contact_sheet([[image]], gap=4)
  named = contact_sheet([[image]], gap=4, titles=["style"], labels=["@wave"])
  assert named.shape[0] > plain.shape[0] and named.shape[1] > plain.shape[1]
  assert (plain == 1).all()
  assert (named[:26] < 1).any() and (named[26:, : -60 - 4] < 1).any()
