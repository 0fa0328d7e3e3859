"""Cuts a long side into overlapping windows of one size, so that one program serves all."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Window:
  """Rows or columns that a tile reads (start, stop), and those that come out exact (first, last).

  Those near a cut are not exact.
  """

  start: int
  stop: int
  first: int
  last: int

  def read(self, scale: int) -> slice:
    """What is read, in a map with `scale` rows for each of these."""
    return slice(self.start * scale, self.stop * scale)

  def exact(self, scale: int) -> slice:
    """What comes out exact, likewise, counted from the start of the whole map."""
    return slice(self.first * scale, self.last * scale)

  def exact_in_tile(self, scale: int) -> slice:
    """What comes out exact, likewise, counted from the start of the tile."""
    return slice((self.first - self.start) * scale, (self.last - self.start) * scale)


def windows(length: int, size: int, halo: int) -> list[Window]:
  """Cuts rows or columns into windows of one size, so that one program serves all.

  The last window is moved back to end with the whole map, so that some rows are read twice. The
  windows' size is one of five, from `size` to 3/4 of it: the one that reads the fewest rows in
  total. There are only five so that images of many sizes share a few programs.

  Args:
    length: total number of rows.
    size: the largest number of rows that a window reads, more than twice the halo.
    halo: number of rows at a cut that come out wrong.

  Returns:
    Windows in order, whose exact rows make up the whole map.
  """
  if length <= size:
    return [Window(0, length, 0, length)]

  def rows_read(size: int) -> int:
    return size * -(-(length - 2 * halo) // (size - 2 * halo))

  shorter = (size * part // 16 for part in range(15, 11, -1))
  size = min([size, *(each for each in shorter if each > 2 * halo)], key=rows_read)
  cuts, done = [], 0
  while done < length:
    start = min(max(0, done - halo), length - size)
    last = length if start + size == length else start + size - halo
    cuts.append(Window(start, start + size, done, last))
    done = last
  return cuts
