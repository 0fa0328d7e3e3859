"""Chooses a few array sizes for many image sizes: one compiled program serves all images that fit.

No networks here: `stylejax.models.padding` keeps what lies beyond an image from affecting it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

Size = tuple[int, int]

MOST = 6
"""The largest number of buckets in a run: each is a program to compile."""

COMPILATION = 1_000_000
"""Pixels that another bucket must save. Compiling takes as long as stylizing several times as many,
but compiled programs are kept for the next run."""


MOST_FILLING = 1.35
"""An array that has a program already may have this many times the image's pixels, plus
SPARE_PIXELS."""

SPARE_PIXELS = 310_000
"""Pixels that are computed in a tenth of the time that compiling takes. They are divided by the
number of images in a folder, which share the cost of one compilation."""

_AT_FIRST = 64


def plan(
  sizes: Iterable[Size], *, stride: int, most: int = MOST, compilation: float = COMPILATION
) -> dict[Size, Size]:
  """Chooses the arrays in which images are stylized.

  It starts with one array for each size and merges the two whose union costs least, as long as that
  saves more compilation than it adds pixels, or there are too many.

  Args:
    sizes: (H, W) of all images, with repetitions.
    stride: sides of arrays are multiples of it.
    most: the largest number of arrays.
    compilation: the cost of another array, in pixels.

  Returns:
    For each size the (H, W) of its array, which is no smaller.
  """
  counts = Counter(sizes)
  while len({_whole(size, stride) for size in counts}) > _AT_FIRST:
    stride *= 2
  buckets: dict[Size, tuple[list[Size], int]] = {}
  for size, count in counts.items():
    whole = _whole(size, stride)
    members, images = buckets.get(whole, ([], 0))
    buckets[whole] = [*members, size], images + count

  def cost(bucket: Size) -> int:
    return bucket[0] * bucket[1] * buckets[bucket][1]

  def union(one: Size, other: Size) -> tuple[int, Size]:
    whole = max(one[0], other[0]), max(one[1], other[1])
    added = whole[0] * whole[1] * (buckets[one][1] + buckets[other][1]) - cost(one) - cost(other)
    return added, whole

  while len(buckets) > 1:
    names = sorted(buckets)
    added, whole, one, other = min(
      (*union(one, other), one, other) for i, one in enumerate(names) for other in names[:i]
    )
    if len(buckets) <= most and added > compilation:
      break
    parts = [buckets.pop(name) for name in (one, other)]
    # The union may equal an existing bucket: one of the two, or a third.
    parts += [buckets.pop(whole)] if whole in buckets else []
    buckets[whole] = [s for members, _ in parts for s in members], sum(n for _, n in parts)
  return {size: bucket for bucket, (members, _) in buckets.items() for size in members}


def choose(size: Size, known: Iterable[Size], *, steps: Sequence[int]) -> Size:
  """The array for one image: one that has a program already, or else one of a few sizes.

  Args:
    size: (H, W) of the image.
    known: (H, W) of arrays for which there are programs.
    steps: sides of new arrays, ascending; beyond the last, its multiples are used.

  Returns:
    (H, W) of the array, no smaller than the image.
  """

  bucket = choose_known(size, known)
  return bucket if bucket is not None else (_step_up(size[0], steps), _step_up(size[1], steps))


def choose_known(size: Size, known: Iterable[Size], *, images: int = 1) -> Size | None:
  """The smallest array in `known` that an image fits into and that isn't much larger, or None.

  Args:
    size: (H, W) of the image.
    known: (H, W) of arrays for which there are programs.
    images: how many images of any size will be stylized.
  """

  def area(bucket: Size) -> int:
    return bucket[0] * bucket[1]

  fits = [bucket for bucket in known if bucket[0] >= size[0] and bucket[1] >= size[1]]
  fits = [
    bucket for bucket in fits if area(bucket) <= MOST_FILLING * area(size) + SPARE_PIXELS / images
  ]
  return min(fits, key=area, default=None)


def _step_up(side: int, steps: Sequence[int]) -> int:
  last = steps[-1]
  return next((step for step in steps if step >= side), -(-side // last) * last)


def _whole(size: Size, stride: int) -> Size:
  return -(-size[0] // stride) * stride, -(-size[1] // stride) * stride
