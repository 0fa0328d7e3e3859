"""Every loss against independent PyTorch or NumPy code, with finite gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_reference import F, torch

from stylejax.losses import adversarial, color, features, pixels, pyramid

LAYERS = {"relu1_1": (9, 8, 4), "relu2_1": (5, 4, 6)}


def some_features(rng, shift=0.0):
  return {
    layer: (rng.gamma(1.0, 20.0, (2, *shape)) + shift).astype(np.float32)
    for layer, shape in LAYERS.items()
  }


def mean_of(loss, *images):
  """A loss of a batch as one number, the mean over its images."""
  return float(loss(*images).mean())


def test_l1(rng):
  a, b = rng.random((2, 2, 8, 8, 3), np.float32)
  np.testing.assert_allclose(pixels.l1_loss(a, b), np.abs(a - b).mean((1, 2, 3)), rtol=1e-5)


@pytest.mark.torch
def test_multiscale_l1(rng):
  a, b = rng.random((2, 2, 8, 12, 3), np.float32)
  ta, tb = (torch.from_numpy(x.transpose(0, 3, 1, 2).copy()) for x in (a, b))
  expected = np.mean(
    [
      F.l1_loss(*(F.avg_pool2d(x, 2**s) if s else x for x in (ta, tb)), reduction="none")
      .mean((1, 2, 3))
      .numpy()
      for s in range(3)
    ],
    0,
  )
  np.testing.assert_allclose(pixels.multiscale_l1_loss(a, b), expected, rtol=1e-5)


def test_total_variation(rng):
  x = rng.random((2, 6, 7, 3), np.float32)
  expected = sum((np.diff(x, axis=axis) ** 2).mean((1, 2, 3)) for axis in (1, 2))
  np.testing.assert_allclose(pixels.total_variation(x), expected, rtol=1e-5)


@pytest.mark.torch
def test_content_loss(rng):
  a, b = some_features(rng), some_features(rng)
  weights = {"relu1_1": 0.5, "relu2_1": 2.0}
  expected = 0.0
  for layer, weight in weights.items():
    normed = []
    for f in (a[layer], b[layer]):
      t = torch.from_numpy(f.transpose(0, 3, 1, 2).copy())
      normed.append(torch.nn.functional.instance_norm(t, eps=features.EPS))
    expected += weight * (normed[0] - normed[1]).square().mean((1, 2, 3)).numpy()
  np.testing.assert_allclose(features.content_loss(a, b, weights), expected, rtol=1e-4)


def test_content_loss_ignores_channel_moments(rng):
  a = some_features(rng)
  b = {layer: 3.0 * f + 7.0 for layer, f in a.items()}
  assert features.content_loss(a, b, {"relu1_1": 1.0}).max() < 1e-5


def test_moment_style_loss(rng):
  a, b = some_features(rng), some_features(rng, 5.0)
  per_layer = []
  for layer in LAYERS:
    f, t = a[layer].astype(np.float64), b[layer].astype(np.float64)
    moved = ((f.mean((1, 2)) - t.mean((1, 2))) ** 2).sum(1)
    moved += ((f.std((1, 2)) - t.std((1, 2))) ** 2).sum(1)
    per_layer.append(moved / (t**2).mean((1, 2)).sum(1))
  np.testing.assert_allclose(features.moment_style_loss(a, b), np.mean(per_layer, 0), rtol=1e-3)


@pytest.mark.torch
def test_gram_style_loss(rng):
  a, b = some_features(rng), some_features(rng, 5.0)
  per_layer = []
  for layer in LAYERS:
    grams = []
    for f in (a[layer], b[layer]):
      flat = torch.from_numpy(f).double().flatten(1, 2)
      grams.append(torch.bmm(flat.mT, flat) / flat.shape[1])
    moved = (grams[0] - grams[1]).square().sum((1, 2)) / grams[1].square().sum((1, 2))
    per_layer.append(moved.numpy())
  np.testing.assert_allclose(features.gram_style_loss(a, b), np.mean(per_layer, 0), rtol=1e-4)


def test_style_losses_want_what_lies_between(rng):
  """At strength 0 they want the content's statistics, at 1 the style's, linear in between."""
  style, content = some_features(rng), some_features(rng, 5.0)
  colors = rng.random((2, 2, 16, 16, 3), np.float32)
  for loss, target, source in (
    (features.moment_style_loss, style, content),
    (features.gram_style_loss, style, content),
    (color.color_loss, *colors),
    (pyramid.pyramid_loss, *colors),
  ):
    assert loss(source, target, content=source, strength=0.0).max() < 1e-6
    full = loss(source, target)
    assert full.shape == (2,)
    np.testing.assert_allclose(loss(source, target, content=source, strength=1.0), full, rtol=1e-5)
    # One strength for each image, and a loss of its own.
    mixed = loss(source, target, content=source, strength=np.array([0.0, 1.0], np.float32))
    np.testing.assert_allclose(mixed, [0, full[1]], rtol=1e-4, atol=1e-6)
    second = jax.tree.map(lambda x: x[1:], (source, target))
    np.testing.assert_allclose(loss(*second), full[1:], rtol=1e-4)
  halfway = {
    layer: 0.5
    * (style[layer].mean((1, 2), keepdims=True) + content[layer].mean((1, 2), keepdims=True))
    for layer in LAYERS
  }
  gone = {layer: np.broadcast_to(mean, style[layer].shape) for layer, mean in halfway.items()}
  flat = [
    {layer: np.broadcast_to(f.mean((1, 2), keepdims=True), f.shape) for layer, f in x.items()}
    for x in (style, content)
  ]
  assert (
    float(features.moment_style_loss(gone, flat[0], content=flat[1], strength=0.5).max()) < 1e-5
  )


@pytest.mark.parametrize("loss", [features.moment_style_loss, features.gram_style_loss])
def test_style_losses_compare_images_of_different_size(rng, loss):
  a = some_features(rng)
  larger = {layer: np.tile(f, (1, 2, 3, 1)) for layer, f in a.items()}
  assert loss(larger, a).max() < 1e-6


@pytest.mark.torch
def test_games_against_their_formulas(rng):
  real = [rng.normal(size=(2, 4, 4, 1)).astype(np.float32), rng.normal(size=(2, 2, 2, 1))]
  fake = [rng.normal(size=(2, 4, 4, 1)).astype(np.float32), rng.normal(size=(2, 2, 2, 1))]
  real, fake = ([jnp.asarray(s, jnp.float32) for s in x] for x in (real, fake))
  mean = lambda maps: np.mean([np.mean(m, (1, 2, 3)) for m in maps], 0)  # noqa: E731
  np.testing.assert_allclose(
    adversarial.wasserstein_discriminator_loss(real, fake), mean(fake) - mean(real), rtol=1e-5
  )
  np.testing.assert_allclose(adversarial.wasserstein_generator_loss(fake), -mean(fake), rtol=1e-5)
  relu = lambda maps: [torch.relu(torch.from_numpy(np.array(m))).numpy() for m in maps]  # noqa: E731
  expected = mean(relu([1 - s for s in real])) + mean(relu([1 + s for s in fake]))
  np.testing.assert_allclose(adversarial.hinge_discriminator_loss(real, fake), expected, rtol=1e-5)


class Critic:
  """A small smooth score in JAX and in PyTorch, with the same numbers."""

  def __init__(self, rng):
    self.w1 = rng.normal(size=(8 * 8 * 3, 5)).astype(np.float32) * 0.2
    self.w2 = rng.normal(size=5).astype(np.float32)

  def jax(self, x):
    return jnp.tanh(x.reshape(x.shape[0], -1) @ self.w1) @ self.w2

  def torch(self, x):
    return torch.tanh(x.flatten(1) @ torch.from_numpy(self.w1)) @ torch.from_numpy(self.w2)

  def torch_squared_norms(self, x):
    x = torch.from_numpy(x).requires_grad_()
    (gradient,) = torch.autograd.grad(self.torch(x).sum(), x)
    return gradient.flatten(1).square().sum(1)


@pytest.mark.torch
def test_gradient_penalty_against_torch_autograd(rng):
  critic = Critic(rng)
  real, fake = rng.random((2, 4, 8, 8, 3), np.float32)
  mix = rng.random(4, np.float32)
  between = mix[:, None, None, None] * real + (1 - mix[:, None, None, None]) * fake
  expected = (critic.torch_squared_norms(between).sqrt() - 1).square()
  actual = adversarial.gradient_penalty(critic.jax, real, fake, mix)
  np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.torch
def test_r1_against_torch_autograd(rng):
  critic = Critic(rng)
  real = rng.random((4, 8, 8, 3), np.float32)
  expected = 0.5 * critic.torch_squared_norms(real)
  np.testing.assert_allclose(adversarial.r1_penalty(critic.jax, real), expected, rtol=1e-4)


def test_spurious_edges_are_clouds_not_contrast(rng):
  content = np.full((1, 64, 64, 3), 0.5, np.float32)
  content[:, 32:, 32:] = 0.8
  strong = (content - 0.5) * [1.5, -0.9, 0.2] + 0.4
  cloud = np.zeros((1, 64, 64, 1), np.float32)
  cloud[:, 16:48, :16] = 0.3
  noise = rng.normal(size=content.shape).astype(np.float32) * 0.05
  contrast, clouded, noisy = (
    mean_of(pixels.spurious_edge_loss, x.astype(np.float32), content)
    for x in (strong, strong + cloud, strong + noise)
  )
  # Its edges are where the content's own are.
  assert contrast < 0.03
  assert clouded > 5 * contrast
  assert noisy < 0.5 * clouded
  # A blank image has no edge to lose.
  assert mean_of(pixels.spurious_edge_loss, np.zeros_like(content), content) < 1e-6


@pytest.mark.parametrize(
  ("side", "sizes"), [(64, (8, 16)), (128, (8, 16, 32)), (144, (8, 16)), (160, (8, 16, 32))]
)
def test_spurious_edges_are_looked_for_in_cells_of_up_to_32_pixels(rng, side, sizes):
  image, content = rng.random((2, 1, side, side, 3), np.float32)
  shares = []
  for size in sizes:
    shape = (side // size, size, side // size, size, 3)
    cells = [x[0].astype(np.float64).reshape(shape).mean((1, 3)) for x in (image, content)]
    for axis in (0, 1):
      edges, content_edges = (np.square(np.diff(x, axis=axis)).sum(-1) for x in cells)
      flatness = np.exp(-content_edges / (content_edges.mean() + 1e-6))
      shares.append((flatness * edges).sum() / (edges.sum() + 1e-6))
  actual = mean_of(pixels.spurious_edge_loss, image, content)
  assert float(actual) == pytest.approx(np.mean(shares), rel=1e-3)


def test_spurious_colors_are_spurious_edges_without_those_of_light():
  """On a cloud of one color, its part across gray: 2/3 of pure red's squares, none of gray's."""
  content = np.full((1, 64, 64, 3), 0.5, np.float32)
  content[:, 32:, 32:] = 0.8
  cloud = np.zeros((1, 64, 64, 1), np.float32)
  cloud[:, 16:48, :16] = 0.3
  flat = np.full_like(content, 0.4)
  for direction, share in (((1, 1, 1), 0), ((1, 0, 0), 2 / 3), ((1, -1, 0), 1), ((1, 1, 0), 1 / 3)):
    image = flat + cloud * np.float32(direction)
    edges = mean_of(pixels.spurious_edge_loss, image, content)
    assert edges > 0.5
    found = mean_of(pixels.spurious_color_loss, image, content)
    assert float(found) == pytest.approx(share * float(edges), abs=1e-6)


def test_the_grid_loss_is_the_variance_over_positions_in_a_cell(rng):
  image = rng.random((2, 48, 40, 3), np.float32)
  expected = []
  for x in image.astype(np.float64):
    half = x.reshape(24, 2, 20, 2, 3).mean((1, 3))
    variances = []
    for y in (x, half):
      for axis in (0, 1):
        logs = np.log(np.square(np.diff(y, axis=axis)).sum(-1) + (4 / 255) ** 2)
        logs = logs[: logs.shape[0] // 4 * 4, : logs.shape[1] // 4 * 4]
        means = [logs[row::4, column::4].mean() for row in range(4) for column in range(4)]
        variances.append(np.var(means))
    expected.append(np.mean(variances))
  np.testing.assert_allclose(jax.jit(pixels.grid_loss)(image), expected, rtol=1e-3)


@pytest.mark.parametrize("axis", [1, 2])
def test_the_grid_loss_sees_a_weave_that_has_no_line_of_its_own(rng, axis):
  def texture(weave: float, period: int) -> np.ndarray:
    contrast = 1 + weave * (np.arange(128) % period == 0)
    contrast = contrast.reshape([-1 if axis == i else 1 for i in range(4)])
    return (0.5 + 0.05 * contrast * rng.normal(size=(1, 128, 128, 3))).astype(np.float32)

  plain, faint, strong, other = (
    mean_of(pixels.grid_loss, texture(*args)) for args in ((0, 4), (0.5, 4), (1, 4), (1, 3))
  )
  assert plain < 0.01
  assert faint > 2 * plain
  assert strong > 2 * faint
  # A pattern of three columns falls on all positions of a cell of four alike.
  assert other < 2 * plain
  # A ramp and a blank image have none; an edge that is straight all the way has a little.
  for light in (np.linspace(0, 1, 128), np.arange(128) > 50, np.zeros(128)):
    image = np.broadcast_to(light[None, None, :, None], (1, 128, 128, 3)).astype(np.float32)
    assert mean_of(pixels.grid_loss, image) < strong / 2


def test_structure_is_lost_to_blur_and_turned_light_not_to_contrast(rng):
  content = np.zeros((1, 64, 64, 3), np.float32) + rng.random((1, 64, 64, 1), np.float32)
  content[:, :, 32:] = 0.5
  light = content.mean(-1, keepdims=True)
  hue = np.array([0.2, -0.1, -0.1], np.float32) * (light > 0.5)
  noise = 0.01 * rng.normal(size=light.shape).astype(np.float32) * (content == 0.5)
  blurred = (content + np.roll(content, 1, 1) + np.roll(content, 1, 2)) / 3
  brighter, changed, noisy, soft, turned = (
    mean_of(pixels.structure_loss, x.astype(np.float32), content)
    for x in (0.5 * content + 0.3, content + hue, content + noise, blurred, 1 - content)
  )
  assert max(brighter, changed) < 0.02  # changes of contrast and of hue
  assert noisy < 0.1  # where the content is plain
  assert soft > 0.1
  assert turned > 0.8  # half of the windows are plain
  # Where either image is plain, there is no direction in which light increases.
  assert mean_of(pixels.structure_loss, 0.5 * np.ones_like(content), content) < 0.05


def test_colors_count_by_their_own_spread(rng):
  target = rng.random((2, 16, 16, 3), np.float32)
  assert mean_of(color.color_loss, target, target) == pytest.approx(0, abs=1e-6)
  # Moments don't depend on where pixels are.
  turned = target[:, ::-1, ::-1]
  assert mean_of(color.color_loss, turned, target) == pytest.approx(0, abs=1e-5)
  # By hand: adding 0.1 to red moves the means of the three axes by 0.1 times their weights of red.
  moved = target + np.array([0.1, 0, 0], np.float32)
  axes = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
  spread = (target @ axes.T.astype(np.float32)).var((1, 2))
  expected = (np.square(0.1 * axes[:, 0]) / (spread + 0.003)).mean()
  assert mean_of(color.color_loss, moved, target) == pytest.approx(expected, rel=1e-3)


@pytest.mark.torch
def test_band_statistics_against_pytorch(rng):
  image = rng.random((2, 32, 48, 3), np.float32)
  axes = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
  level = torch.from_numpy(image @ axes.T.astype(np.float32)).permute(0, 3, 1, 2)
  expected = []
  for _ in range(4):  # the next would be 2×3
    coarse = F.avg_pool2d(level, 2)
    actual = [level - F.interpolate(coarse, scale_factor=2, mode="bilinear")]
    for down, right in ((0, 2), (2, 0), (2, 2), (2, -2)):
      kernel = torch.zeros(3, 1, 3, 3)
      kernel[:, :, 1 + down // 2, 1 + right // 2] = 1
      kernel[:, :, 1 - down // 2, 1 - right // 2] = -1
      actual.append(F.conv2d(level, kernel, groups=3))
    expected.append(
      torch.stack(
        [
          torch.stack([band.abs().mean((2, 3)), band.square().mean((2, 3)).sqrt()], 1)
          for band in actual
        ],
        1,
      )
    )
    level = coarse
  np.testing.assert_allclose(
    pyramid.pyramid_statistics(image), torch.stack(expected, 1).numpy(), rtol=2e-3, atol=1e-5
  )


def test_bands_tell_texture_from_edges_of_the_same_strength(rng):
  texture = 0.5 + 0.05 * rng.choice([-1, 1], (1, 64, 64, 1)).astype(np.float32) * np.ones(3, "f4")
  edges = np.where(rng.random((1, 64, 64, 1)) < 0.04, 5.0, 0.0) * (texture - 0.5) + 0.5
  assert np.std(edges) == pytest.approx(np.std(texture), rel=0.1)
  assert mean_of(pyramid.pyramid_loss, edges, texture) > 0.03
  # Statistics are those of the whole image, wherever its texture is.
  assert mean_of(pyramid.pyramid_loss, np.roll(texture, (16, 32), (1, 2)), texture) < 3e-3
  # Images without contrast are treated as having a contrast of FLOOR.
  assert mean_of(pyramid.pyramid_loss, 0 * texture + 0.5, 0 * texture + 0.7) < 1e-6
  with pytest.raises(
    ValueError, match="found shape .1, 63, 64, 3.*expected even sides of at least 4"
  ):
    pyramid.pyramid_statistics(texture[:, 1:])


@pytest.mark.parametrize("constant", [False, True])
def test_gradients_are_finite_even_for_blank_images(rng, constant):
  def make():
    return {k: np.full_like(f, 2.0) if constant else f for k, f in some_features(rng).items()}

  target = make()
  losses = [
    lambda f: features.content_loss(f, target, {"relu1_1": 1.0}),
    lambda f: features.moment_style_loss(f, target),
    lambda f: features.gram_style_loss(f, target),
    lambda f: pixels.total_variation(f["relu1_1"]),
    lambda f: pixels.l1_loss(f["relu1_1"], target["relu1_1"]),
    lambda f: pixels.spurious_edge_loss(
      *(x["relu1_1"].repeat(8, 1).repeat(8, 2)[:, :64, :64] for x in (f, target))
    ),
    lambda f: pixels.spurious_color_loss(
      *(x["relu1_1"].repeat(8, 1).repeat(8, 2)[:, :64, :64, :3] for x in (f, target))
    ),
    lambda f: pixels.structure_loss(
      *(x["relu1_1"].repeat(8, 1).repeat(8, 2)[:, :64, :64] for x in (f, target))
    ),
    lambda f: pixels.grid_loss(f["relu1_1"].repeat(8, 1).repeat(8, 2)[:, :64, :64]),
    lambda f: color.color_loss(f["relu1_1"][..., :3], target["relu1_1"][..., :3]),
    lambda f: pyramid.pyramid_loss(f["relu1_1"][:, :8, :8, :3], target["relu1_1"][:, :8, :8, :3]),
  ]
  for loss in losses:
    value, pull_back = jax.vjp(jax.jit(loss), make())
    assert value.dtype == jnp.float32 and value.shape == (2,)
    gradient = pull_back(jnp.ones(2))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
