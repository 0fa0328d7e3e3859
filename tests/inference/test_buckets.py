"""A few array sizes for many image sizes, and little waste."""

import random

from stylejax.inference import buckets


class TestBuckets:
  def test_everything_fits_in_few(self):
    draw = random.Random(0)
    sizes = [(draw.randrange(16, 900), draw.randrange(16, 900)) for _ in range(200)]
    found = buckets.plan(sizes, stride=8)
    assert set(found) == set(sizes) and len(set(found.values())) <= buckets.MOST
    for size, frame in found.items():
      assert all(side <= whole and whole % 8 == 0 for side, whole in zip(size, frame))

  def test_photos_waste_little(self):
    long = (480, 479, 470, 427, 426, 420, 400, 384, 360, 320)
    sizes = [size for side in long for size in ((320, side), (side, 320))] * 5
    found = buckets.plan(sizes, stride=8)
    area = sum(height * width for height, width in sizes)
    assert sum(found[size][0] * found[size][1] for size in sizes) < 1.2 * area

  def test_one_size_is_its_own(self):
    assert buckets.plan([(480, 320)] * 9, stride=8) == {(480, 320): (480, 320)}
    assert buckets.plan([], stride=8) == {}

  def test_a_compilation_must_be_worth_it(self):
    sizes = [(320, 480)] * 2 + [(328, 480)] * 2
    assert len(set(buckets.plan(sizes, stride=8).values())) == 1
    assert len(set(buckets.plan(sizes, stride=8, compilation=100).values())) == 2
