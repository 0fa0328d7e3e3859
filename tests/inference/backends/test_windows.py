"""Windows adjoin, have one size, and read little twice."""

import pytest

from stylejax.inference.backends.windows import windows


@pytest.mark.parametrize("height, rows, halo", [(40, 9, 2), (41, 5, 1), (7, 9, 2), (16, 6, 2)])
def test_windows_meet_and_are_of_one_size(height, rows, halo):
  cuts = windows(height, rows, halo)
  assert cuts[0].first == 0 and cuts[-1].last == height
  assert [w.last for w in cuts[:-1]] == [w.first for w in cuts[1:]]
  (size,) = {w.stop - w.start for w in cuts}
  assert 3 / 4 * rows - 1 < size <= rows or size == height < rows
  for w in cuts:
    assert w.start == 0 or w.first - w.start >= halo
    assert w.stop == height or w.stop - w.last >= halo
    assert w.first < w.last


def test_windows_read_few_rows_twice():
  """12,000 pixels in cells of 8: windows of 150 cells would read a tenth of the cells twice."""
  for length in (1_500, 1_000, 750):
    cuts = windows(length, 150, 1)
    assert sum(w.stop - w.start for w in cuts) < 1.05 * length
