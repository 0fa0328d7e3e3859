"""A few array sizes for many image sizes, and little waste."""

import random

from stylejax.inference import buckets


class TestBuckets:
  def test_everything_fits_in_few(self):
    draw = random.Random(0)
    sizes = [(draw.randrange(16, 900), draw.randrange(16, 900)) for _ in range(200)]
    actual = buckets.plan(sizes, stride=8)
    assert set(actual) == set(sizes) and len(set(actual.values())) <= buckets.MOST
    for size, bucket in actual.items():
      assert all(side <= whole and whole % 8 == 0 for side, whole in zip(size, bucket))

  def test_photos_waste_little(self):
    long = (480, 479, 470, 427, 426, 420, 400, 384, 360, 320)
    sizes = [size for side in long for size in ((320, side), (side, 320))] * 5
    actual = buckets.plan(sizes, stride=8)
    area = sum(height * width for height, width in sizes)
    assert sum(actual[size][0] * actual[size][1] for size in sizes) < 1.2 * area

  def test_one_size_is_its_own(self):
    assert buckets.plan([(480, 320)] * 9, stride=8) == {(480, 320): (480, 320)}
    assert buckets.plan([], stride=8) == {}

  def test_a_compilation_must_be_worth_it(self):
    sizes = [(320, 480)] * 2 + [(328, 480)] * 2
    assert len(set(buckets.plan(sizes, stride=8).values())) == 1
    assert len(set(buckets.plan(sizes, stride=8, compilation=100).values())) == 2


class TestChoose:
  STEPS = (256, 320, 384, 512, 640)

  def test_a_size_never_seen_takes_a_program_that_is_there(self):
    assert buckets.choose((301, 452), {(320, 512), (640, 640)}, steps=self.STEPS) == (320, 512)

  def test_the_smallest_that_fits(self):
    known = {(512, 512), (384, 512), (512, 384)}
    assert buckets.choose((350, 500), known, steps=self.STEPS) == (384, 512)

  def test_one_much_too_large_is_not_taken(self):
    assert buckets.choose((300, 400), {(4000, 4000)}, steps=self.STEPS) == (320, 512)

  def test_beyond_the_last_step_its_multiples(self):
    assert buckets.choose((641, 1300), (), steps=self.STEPS) == (1280, 1920)

  def test_how_much_is_filled(self):
    """1.35 times the image's pixels and 310,000 more: cheaper than compiling."""
    size = (1000, 1000)
    for side, taken in ((1280, True), (1290, False)):  # 1.638 and 1.664 million of 1.66 million
      assert (buckets.choose_known(size, {(side, side)}) is not None) == taken
    assert buckets.choose_known((64, 64), {(560, 560)}) == (560, 560)
    assert buckets.choose_known((64, 64), {(568, 568)}) is None

  def test_images_of_a_folder_share_what_is_filled(self):
    known = {(544, 544)}
    assert buckets.choose_known((64, 64), known, images=2) is None
    assert buckets.choose_known((480, 480), known, images=100) == (544, 544)

  def test_a_small_photo_after_ten_of_other_sizes(self):
    """No image of up to 640 × 480 pixels needs a program of its own if there is one that large."""
    known = {(480, 640), (640, 480)}
    for size in ((300, 451), (451, 300), (16, 16), (480, 480), (427, 640), (640, 427)):
      assert buckets.choose(size, known, steps=self.STEPS) in known
