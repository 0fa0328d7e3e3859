"""Artifact detectors: no alarm on recolored images, an alarm for each artifact drawn into them."""

import numpy as np
import pytest
from scipy import ndimage

from stylejax import InputError
from stylejax.metrics import artifacts

SHAPE = (192, 256)


def scene(seed: int) -> np.ndarray:
  """Something like a photograph: a gradient, discs with edges, and noise that falls as 1/f."""
  rng = np.random.default_rng(seed)
  noise = np.fft.fft2(rng.normal(size=(*SHAPE, 3)), axes=(0, 1))
  frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, SHAPE), indexing="ij"))[..., None]
  noise = np.fft.ifft2(noise / (frequency + 0.01) ** 1.2, axes=(0, 1)).real
  image = 0.5 + 0.09 * noise / noise.std()
  image += np.linspace(-0.15, 0.15, SHAPE[0])[:, None, None]
  y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
  for _ in range(12):
    disc = np.hypot(y - rng.uniform(0, SHAPE[0]), x - rng.uniform(0, SHAPE[1])) < rng.uniform(8, 40)
    image[disc] += rng.uniform(-0.2, 0.2, 3)
  return np.clip(image, 0, 1)


def recolor(image):
  matrix = np.array([[0.2, 0.9, 0.1], [0.6, 0.2, 0.5], [0.3, 0.1, 0.7]])
  return np.clip(image @ matrix, 0, 1) ** 1.3


def strip(image):
  image = image.copy()
  image[:, -4:] -= 0.2
  return image


def frame(image):
  inside = np.zeros(SHAPE, bool)
  inside[8:-8, 8:-8] = True
  return np.where(inside[..., None], image, image + 0.2)


def checkerboard(period):
  def add(image):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] // (period // 2)
    return image + 0.016 * (1 - 2 * ((y + x) % 2))[..., None]

  return add


def stripes(image):
  """Adds a wave of one color with a period of four columns."""
  wave = np.cos(np.pi / 2 * np.arange(SHAPE[1]))[None, :, None]
  return image + 0.016 * wave * np.array([1, -1, 0])


def weave(image):
  """Adds noise without any line of its own, stronger in every fourth column."""
  noise = np.random.default_rng(5).normal(size=(*SHAPE, 3))
  return image + 0.01 * noise * np.where(np.arange(SHAPE[1]) % 4 == 2, 3, 1)[None, :, None]


def even_noise(image):
  return image + 0.013 * np.random.default_rng(5).normal(size=(*SHAPE, 3))


def droplet(image):
  y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
  spot = np.exp(-((y - 120) ** 2 + (x - 70) ** 2) / (2 * 4**2))
  return image + spot[..., None] * np.array([1.0, -0.5, -0.8])


def dead(image):
  image = image.copy()
  image[60:110, 90:140] = 0.98
  return image


ARTIFACTS = {
  "strip": (strip, "border"),
  "frame": (frame, "border"),
  "stripes": (stripes, "grid"),
  "weave": (weave, "grid"),
  **{f"checkerboard {p}": (checkerboard(p), "grid") for p in artifacts.PERIODS},
  "droplet": (droplet, "blotch"),
  "dead area": (dead, "blotch"),
}
HARMLESS = {
  "itself": lambda image: image,
  "recolored": recolor,
  "posterised": lambda image: np.round(image * 6) / 6,
  "noisy": even_noise,
  "blurred": lambda image: ndimage.gaussian_filter(image, (1.5, 1.5, 0), mode="nearest"),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("seed", range(3))
def test_harmless_changes_raise_no_alarm(name, seed):
  content = scene(seed)
  actual = artifacts.find_artifacts(HARMLESS[name](content), content)
  assert set(actual) == {"border", "grid", "blotch"}
  assert max(actual.values()) < 1, actual


@pytest.mark.parametrize("name", ARTIFACTS)
@pytest.mark.parametrize("seed", range(3))
def test_an_artifact_raises_its_alarm_and_no_other(name, seed):
  """Tested on a recolored image, since a stylized image has other colors than its content."""
  content = scene(seed)
  draw, kind = ARTIFACTS[name]
  actual = artifacts.find_artifacts(np.clip(draw(recolor(content)), 0, 1), content)
  assert actual[kind] > 1, actual
  assert max(score for other, score in actual.items() if other != kind) < 1, actual


@pytest.mark.parametrize("name", ARTIFACTS)
def test_what_the_content_shows_itself_is_no_artifact(name):
  content = np.clip(ARTIFACTS[name][0](scene(0)), 0, 1)
  actual = artifacts.find_artifacts(recolor(content), content)
  assert max(actual.values()) < 1, actual


def test_a_score_is_the_same_from_every_side():
  """A rotated or mirrored image has the same artifacts."""
  content = scene(1)
  image = strip(recolor(content))
  for turned in (lambda x: np.rot90(x), lambda x: x[::-1], lambda x: x[:, ::-1]):
    assert artifacts.border(turned(image), turned(content)) == pytest.approx(
      artifacts.border(image, content)
    )


@pytest.mark.parametrize(
  "shape, other",
  [
    ((64, 80, 3), (64, 81, 3)),
    ((63, 80, 3), (63, 80, 3)),
    ((64, 80), (64, 80)),
    ((1, 64, 80, 3), (1, 64, 80, 3)),
  ],
)
def test_wrong_shapes(shape, other):
  with pytest.raises(InputError, match="at least 64×64"):
    artifacts.find_artifacts(np.zeros(shape), np.zeros(other))


def test_flat_images_have_no_artifact():
  flat = np.full((64, 64, 3), 0.3)
  assert max(artifacts.find_artifacts(flat, flat).values()) < 1e-6
