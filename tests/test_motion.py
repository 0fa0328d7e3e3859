"""Optical flow on photos moved by known amounts, beside OpenCV's; warping, beside SciPy's."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import stylejax
from stylejax import motion
from stylejax.images import encode
from stylejax.images.decode import read_image

SAMPLES = Path(stylejax.__file__).parent / "assets" / "samples" / "content"
HEIGHT, WIDTH = 96, 144
optical_flow = jax.jit(motion.optical_flow)
warp = jax.jit(motion.warp, static_argnames="sharp")


def photo(name):
  image = read_image(SAMPLES / f"{name}.jpg")
  return encode.resize(image, *encode.fit_shorter_side(*image.rgb.shape[:2], 192)).rgb


def moved(name, matrix, shift):
  """(frame, previous frame, true vectors): what is at p was at M p + s in the middle of a photo."""
  image = photo(name)
  y, x = np.mgrid[:HEIGHT, :WIDTH]
  points = np.stack([x - (WIDTH - 1) / 2, y - (HEIGHT - 1) / 2], -1)
  middle = (np.array(image.shape[1::-1]) - 1) / 2
  earlier = points @ np.asarray(matrix).T + shift

  def seen(places):
    x, y = np.moveaxis(places + middle, -1, 0)
    return np.stack([map_coordinates(image[..., c], [y, x], order=3) for c in range(3)], -1)

  frame, before = (np.clip(seen(at), 0, 1).astype(np.float32) for at in (earlier, points))
  return frame, before, (earlier - points).astype(np.float32)


def inside(vectors, edge=0):
  """Pixels that were at least `edge` from the edges of the previous frame, and are now."""
  y, x = np.mgrid[:HEIGHT, :WIDTH]
  places = (x, y, x + vectors[..., 0], y + vectors[..., 1])
  ends = (WIDTH, HEIGHT) * 2
  return np.all([(p >= edge) & (p <= end - 1 - edge) for p, end in zip(places, ends)], 0)


def rotation(degrees):
  angle = np.deg2rad(degrees)
  return [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]


MOTIONS = {
  "pan": (np.eye(2), (2.4, -1.6)),
  "zoom": (1.02 * np.eye(2), (0, 0)),
  "rotation": (rotation(1.5), (0, 0)),
}


@pytest.mark.parametrize("shift", [(3, 0), (-4, 2), (0, -9), (17, 5)])
def test_whole_pixel_shifts_are_exact(shift):
  frame, before, vectors = moved("cat", np.eye(2), shift)
  actual = optical_flow(frame, before)
  compared = inside(vectors, edge=8)
  np.testing.assert_array_equal(actual.vectors[compared], vectors[compared])
  np.testing.assert_array_equal(
    warp(before, actual.vectors)[compared], before_at(before, vectors, compared)
  )


def before_at(before, vectors, mask):
  y, x = np.nonzero(mask)
  dx, dy = vectors[y, x].astype(int).T
  return before[y + dy, x + dx]


@pytest.mark.parametrize("name", ["cat", "coffee"])
@pytest.mark.parametrize("kind", MOTIONS)
def test_known_motions_are_found(kind, name):
  frame, before, vectors = moved(name, *MOTIONS[kind])
  flow = optical_flow(frame, before)
  compared = inside(vectors)
  assert np.linalg.norm(flow.vectors - vectors, axis=-1)[compared].mean() < 0.3
  assert np.asarray(flow.visible)[compared].mean() > 0.9


@pytest.mark.parametrize("kind", MOTIONS)
def test_as_near_to_the_truth_as_opencv(kind):
  cv2 = pytest.importorskip("cv2", reason="compares with OpenCV, which is not installed")
  reference = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
  errors = np.zeros(2)
  for name in ("cat", "coffee"):
    frame, before, vectors = moved(name, *MOTIONS[kind])
    gray = [
      cv2.cvtColor(np.uint8(255 * image + 0.5), cv2.COLOR_RGB2GRAY) for image in (frame, before)
    ]
    flows = optical_flow(frame, before).vectors, reference.calc(*gray, None)
    errors += [np.linalg.norm(f - vectors, axis=-1)[inside(vectors)].mean() for f in flows]
  assert errors[0] <= errors[1]


def test_what_came_into_view_is_not_visible():
  frame, before, _ = moved("cat", np.eye(2), (12, 0))
  visible = np.asarray(optical_flow(frame, before).visible)[..., 0]
  assert visible[:, -12:].mean() < 0.2 and visible[:, :-16].mean() > 0.95


def test_what_was_covered_is_not_visible():
  """A square moves by its own side over a background that stands still."""
  background, square = photo("coffee")[:HEIGHT, :WIDTH], photo("cat")[60:92, 60:92]
  frames = [background.copy(), background.copy()]
  frames[0][32:64, 40:72] = square
  frames[1][32:64, 60:92] = square
  visible = np.asarray(optical_flow(frames[1], frames[0]).visible)[..., 0]
  assert visible[34:62, 42:56].mean() < 0.4 * visible[:24].mean()


def test_frames_of_a_batch_are_those_alone():
  pairs = [moved("cat", *MOTIONS[kind])[:2] for kind in ("pan", "zoom")]
  batch = jax.jit(jax.vmap(motion.optical_flow))(*map(np.stack, zip(*pairs)))
  for number, pair in enumerate(pairs):
    alone = optical_flow(*pair)
    np.testing.assert_allclose(batch.vectors[number], alone.vectors, atol=2e-2)
    np.testing.assert_allclose(batch.visible[number], alone.visible, atol=2e-2)


@pytest.mark.parametrize("shape", [(16, 16), (17, 31), (301, 40)])
def test_any_size_has_a_flow(shape, rng):
  frames = rng.random((2, *shape, 3), np.float32)
  flow = optical_flow(*frames)
  assert flow.vectors.shape == (*shape, 2) and flow.visible.shape == (*shape, 1)
  assert np.isfinite(flow.vectors).all()
  assert np.min(flow.visible) >= 0 and np.max(flow.visible) <= 1


def test_linear_warps_are_scipys(rng):
  image, vectors = rng.random((20, 30, 2), np.float32), rng.normal(0, 6, (20, 30, 2))
  y, x = np.mgrid[:20, :30] + np.moveaxis(vectors, -1, 0)[::-1]
  expected = [map_coordinates(image[..., c], [y, x], order=1, mode="nearest") for c in range(2)]
  np.testing.assert_allclose(
    warp(image, vectors.astype(np.float32)), np.stack(expected, -1), atol=1e-5
  )


def test_sharp_warps_keep_parabolas_and_whole_shifts(rng):
  y, x = np.mgrid[:20, :30].astype(np.float32)
  vectors = rng.uniform(-3, 3, (20, 30, 2)).astype(np.float32)

  def parabola(x, y):
    return (0.01 * x * x + 0.02 * x * y - 0.015 * y * y)[..., None]

  actual = warp(parabola(x, y), vectors, sharp=True)
  expected = parabola(x + vectors[..., 0], y + vectors[..., 1])
  middle = np.s_[5:-5, 5:-5]
  np.testing.assert_allclose(actual[middle], expected[middle], atol=1e-4)
  image = rng.random((20, 30, 3), np.float32)
  shifted = warp(image, jnp.full((20, 30, 2), 4.0), sharp=True)
  np.testing.assert_array_equal(shifted[:-4, :-4], image[4:, 4:])


@pytest.mark.parametrize("shapes", [((32, 32, 3), (32, 33, 3)), ((32, 32), (32, 32))])
def test_wrong_shapes_are_refused(shapes):
  with pytest.raises(ValueError, match="frame, before: found shapes"):
    motion.optical_flow(*map(np.zeros, shapes))


@pytest.mark.parametrize("shape", [(8, 12), (9, 13), (2, 1)])
def test_levels_are_halved_and_enlarged_as_defined(rng, shape):
  image = rng.random(shape, np.float32)

  def tent(side):
    """Weights 1 3 3 1 around the middle of each pair of pixels, of those that there are."""
    centers = 2 * np.arange(-(-side // 2)) + 0.5
    weights = np.maximum(2 - np.abs(centers[:, None] - np.arange(side)), 0)
    return weights / weights.sum(1, keepdims=True)

  rows, columns = map(tent, shape)
  np.testing.assert_allclose(motion._halve(image[None])[0], rows @ image @ columns.T, atol=1e-6)

  def places(fine, side, scale):
    return np.clip((np.arange(fine) + 0.5) / scale - 0.5, 0, side - 1)

  for scale in (1, 2, 4):
    height, width = (scale * side - scale // 2 for side in shape)
    enlarged = np.asarray(motion._resize(image[None], height, width)[0])
    lines = np.stack(
      [np.interp(places(width, shape[1], scale), np.arange(shape[1]), row) for row in image]
    )
    expected = np.stack(
      [np.interp(places(height, shape[0], scale), np.arange(shape[0]), line) for line in lines.T], 1
    )
    np.testing.assert_allclose(enlarged, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float64])
def test_frames_of_another_dtype_have_the_flow_of_float32(dtype):
  frame, before, _ = moved("cat", np.eye(2), (3.25, -1.5))
  with jax.enable_x64(dtype == np.float64):
    frames = [jnp.asarray(image, dtype) for image in (frame, before)]
    flow = jax.jit(motion.optical_flow)(*frames)
    expected = jax.jit(motion.optical_flow)(*(image.astype(jnp.float32) for image in frames))
  assert flow.vectors.dtype == expected.vectors.dtype == np.float32
  np.testing.assert_array_equal(flow.vectors, expected.vectors)
