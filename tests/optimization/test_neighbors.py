"""Neural neighbors: what a stage minimizes, and that the result is the same however it is run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax.errors import InputError
from stylejax.optimization import hypercolumns, neighbors
from stylejax.optimization import targets as targets_module
from stylejax.optimization.columns import column_aims
from stylejax.optimization.matching import unit
from stylejax.optimization.neighbors import Stage
from stylejax.optimization.pyramid import laplacian_pyramid, reconstruct
from stylejax.weights.perceptual import load_vgg

COLUMNS, SPLIT = Stage(0, False), Stage(0, True)
style_targets = jax.jit(neighbors.style_targets, static_argnums=2)
describe = jax.jit(hypercolumns.hypercolumns)
init = jax.jit(neighbors.init, static_argnames=("tiles", "mesh"))
run = jax.jit(neighbors.run, static_argnames=("tiles", "mesh"))


@pytest.fixture(scope="module")
def vgg_params():
  return load_vgg()


@pytest.fixture(scope="module")
def images():
  """Contents [2, 16, 64, 3], smooth, and a speckled style [1, 20, 24, 3]."""
  rng = np.random.default_rng(0)
  content = np.linspace(0.1, 0.9, 64)[None, None, :, None] * rng.uniform(0.3, 1, (2, 16, 1, 3))
  style = rng.uniform(size=(1, 20, 24, 3)) * [1.0, 0.4, 0.1]
  return jnp.asarray(content, jnp.float32), jnp.asarray(style, jnp.float32)


@pytest.fixture(scope="module")
def begun(vgg_params, images):
  """{stage: (targets, state of the first content before its first step)}."""
  pyramid = laplacian_pyramid(images[0][:1])
  start = neighbors.content_start(pyramid)
  actual = {}
  for stage in (COLUMNS, SPLIT):
    targets = style_targets(vgg_params, [images[1]], stage)
    actual[stage] = targets, init(vgg_params, pyramid, start, targets, 6)
  return actual


def test_stages_go_from_64_pixels_up():
  assert neighbors.stages((512, 384), [(400, 512)]) == (
    Stage(3, False),
    Stage(2, False),
    Stage(1, False),
    Stage(0, False),
    Stage(0, True),
  )
  assert neighbors.stages((60, 40), [(16, 600)]) == (Stage(0, False), Stage(0, True))
  # A style of 40 pixels can't be halved twice.
  assert [s.level for s in neighbors.stages((256, 256), [(256, 256), (40, 99)])] == [1, 0, 0]
  with pytest.raises(InputError, match="found a side of 15 pixels, expected at least 16"):
    neighbors.stages((64, 64), [(15, 64)])


def test_the_start_is_the_content_without_its_finest_levels():
  rng = np.random.default_rng(0)
  for side, dropped in ((64, 1), (512, 2)):
    content = laplacian_pyramid(jnp.asarray(rng.uniform(size=(1, 16, side, 3)), jnp.float32))
    start = neighbors.content_start(content)
    for level, (a, b) in enumerate(zip(start, content, strict=True)):
      np.testing.assert_array_equal(a, 0 * b if level < dropped else b)


def test_places_are_matched_by_centered_cosines(vgg_params, images, begun):
  """NumPy, in float64, from the hypercolumns of content and style."""
  targets, state = begun[COLUMNS]
  query, bank = (
    np.asarray(describe(vgg_params, x, scales=targets.scales), np.float64).reshape(-1, 2688)
    for x in (images[0][:1], images[1])
  )
  np.testing.assert_allclose(targets.features[0], bank, rtol=1e-3, atol=1e-4)
  # With a content share of 0.75, the rest is the start, which has the content's finest level only.
  content = laplacian_pyramid(images[0][:1])
  looked_up = 0.75 * images[0][:1] + 0.25 * reconstruct(
    (content[0], *neighbors.content_start(content)[1:])
  )
  query = np.asarray(describe(vgg_params, looked_up, scales=targets.scales), np.float64).reshape(
    -1, 2688
  )
  query, bank = query - query.mean(0), bank - bank.mean(0)
  cosine = (
    query @ bank.T / np.linalg.norm(query, axis=1)[:, None] / np.linalg.norm(bank, axis=1)[None]
  )
  matched = np.asarray(state.matched)[0]
  assert matched.shape == (64,) and len(set(matched.tolist())) > 3
  score = cosine - 0.5 * cosine.max(0)
  np.testing.assert_allclose(score[np.arange(64), matched], score.max(1), atol=1e-5)
  assert (score.argmax(1) != cosine.argmax(1)).mean() > 0.1


def test_the_loss_is_a_mean_of_cosine_distances(vgg_params, images, begun):
  """The first step's loss, in NumPy; later steps and the last pass reduce it."""
  targets, state = begun[COLUMNS]
  actual, content = (
    np.asarray(describe(vgg_params, x, scales=targets.scales), np.float64).reshape(-1, 2688)
    for x in (reconstruct(state.pyramid), images[0][:1])
  )
  target = np.asarray(targets.features[0], np.float64)[np.asarray(state.matched)[0]]
  content = content - content.mean(0) + target.mean(0)
  toward_style, toward_content = (
    ((actual * x).sum(1) / np.linalg.norm(actual, axis=1) / np.linalg.norm(x, axis=1)).mean()
    for x in (target, content)
  )
  for weight in (0.0, 0.3, 1.0):
    first = run(vgg_params, state, targets, steps=jnp.int32(1), content_weight=jnp.float32(weight))
    expected = 1 - (1 - weight) * toward_style - weight * toward_content
    np.testing.assert_allclose(first.loss, expected, rtol=1e-3)
  first = run(vgg_params, state, targets, steps=jnp.int32(1))
  assert run(vgg_params, first, targets).loss < 0.97 * first.loss
  targets, state = begun[SPLIT]
  first = run(vgg_params, state, targets, steps=jnp.int32(1))
  assert run(vgg_params, first, targets).loss < 0.97 * first.loss


def test_aims_from_outside_are_those_that_it_computes(vgg_params, begun):
  """Those of another weight of the content give that weight's result, whatever is said besides."""
  targets, state = begun[COLUMNS]
  aims = jax.jit(column_aims)(vgg_params, targets, state.matched, state.content, 0.7)
  given = run(vgg_params, state, targets, content_weight=jnp.float32(0.1), aims=aims)
  computed = run(vgg_params, state, targets, content_weight=jnp.float32(0.7))
  other = run(vgg_params, state, targets, content_weight=jnp.float32(0.1))
  for one, two in zip(given.pyramid, computed.pyramid, strict=True):
    np.testing.assert_allclose(one, two, atol=1e-4)
  assert abs(given.pyramid[0] - other.pyramid[0]).max() > 1e-3


@pytest.mark.parametrize("stage", [COLUMNS, SPLIT])
def test_going_on_from_a_saved_state_is_never_stopping(vgg_params, begun, stage):
  """Bit for bit, with the state as NumPy arrays in between; no step exceeds the stage's."""
  targets, state = begun[stage]
  whole = run(vgg_params, state, targets)
  assert int(whole.step) == 6
  half = jax.tree.map(np.array, run(vgg_params, state, targets, steps=jnp.int32(2)))
  assert int(half.step) == 2
  resumed = run(vgg_params, jax.tree.map(jnp.asarray, half), targets, steps=jnp.int32(99))
  jax.tree.map(np.testing.assert_array_equal, resumed, whole)
  jax.tree.map(
    np.testing.assert_array_equal, run(vgg_params, whole, targets, steps=jnp.int32(3)), whole
  )


def test_a_batch_and_vmap_are_loops(vgg_params, images, begun):
  """Two contents at once: each as if alone, also where the caller maps; jit = eager."""
  contents, _ = images
  targets, _ = begun[COLUMNS]
  pyramids = jax.vmap(laplacian_pyramid)(contents[:, None])

  def stylize(vgg_params, pyramid):
    state = init(vgg_params, pyramid, neighbors.content_start(pyramid), targets, 6)
    # Not compiled as a whole unless the caller does so.
    return reconstruct(neighbors.run(vgg_params, state, targets, steps=jnp.int32(2)).pyramid)

  alone = [stylize(vgg_params, tuple(x[n] for x in pyramids)) for n in range(2)]
  batch = jax.jit(stylize)(vgg_params, tuple(x[:, 0] for x in pyramids))
  mapped = jax.jit(jax.vmap(stylize, (None, 0)))(vgg_params, pyramids)
  for number in range(2):
    np.testing.assert_allclose(batch[number], alone[number][0], atol=1e-3)
    np.testing.assert_allclose(mapped[number], alone[number], atol=1e-3)


@pytest.fixture(scope="module")
def tall(vgg_params, images):
  """{stage: (pyramids of a 316×16 image, targets, masks of two styles, first and last state)}."""
  content = np.random.default_rng(2).uniform(size=(1, 79, 4, 3)).repeat(4, 1).repeat(4, 2)
  pyramid = laplacian_pyramid(jnp.asarray(content, jnp.float32))
  masks = jnp.zeros((2, 316, 16)).at[0, :150].set(1).at[1, 150:].set(1)
  actual = {}
  for stage in (COLUMNS, SPLIT):
    targets = style_targets(vgg_params, [images[1], 1 - images[1]], stage)
    start = neighbors.content_start(pyramid)
    state = init(vgg_params, pyramid, start, targets, 6, weights=masks)
    actual[stage] = (
      (pyramid, start),
      targets,
      masks,
      state,
      run(vgg_params, state, targets, steps=jnp.int32(2), weights=masks),
    )
  return actual


@pytest.mark.parametrize("stage, tiles, devices", [(COLUMNS, 2, 1), (COLUMNS, 8, 8), (SPLIT, 8, 8)])
def test_bands_and_devices_give_what_one_gives(vgg_params, tall, stage, tiles, devices):
  """Bands of rows in turn or on 8 devices: within 1e-3 of the image computed at once."""
  pyramids, targets, masks, begun, expected = tall[stage]
  mesh = jax.make_mesh((8,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
  settings = {"tiles": tiles, "mesh": mesh if devices > 1 else None}
  state = init(vgg_params, *pyramids, targets, 6, weights=masks, **settings)
  np.testing.assert_array_equal(state.matched, begun.matched)
  actual = run(vgg_params, state, targets, steps=jnp.int32(2), weights=masks, **settings)
  np.testing.assert_allclose(actual.loss, expected.loss, rtol=1e-4)
  np.testing.assert_allclose(reconstruct(actual.pyramid), reconstruct(expected.pyramid), atol=1e-3)


def test_the_bank_of_a_large_style_is_thinned(vgg_params, images, monkeypatch):
  """It has at most BANK_PLACES vectors, each of which is one of the whole bank's."""
  whole = style_targets(vgg_params, [images[1]], COLUMNS).features[0]
  monkeypatch.setattr(targets_module, "BANK_PLACES", len(whole) - 1)
  thinned = jax.jit(lambda *x: neighbors.style_targets(*x, COLUMNS))(vgg_params, [images[1]])
  assert 0 < len(thinned.features[0]) <= len(whole) / 3
  assert len(thinned.sources[0]) == len(thinned.features[0])
  # Compared at length 1, since the scales of the layers are from fewer places.
  cosines = unit(thinned.features[0]) @ unit(whole).T
  assert (cosines.max(1) > 0.99).all()


def test_one_can_differentiate_through_steps(vgg_params, images):
  """Gradients by layer weights, rate and the style's pixels are finite and not all 0."""
  pyramid = laplacian_pyramid(images[0][:1])

  def total(layer_weights, rate, style, vgg_params):
    targets = neighbors.style_targets(vgg_params, [style], COLUMNS, layer_weights=layer_weights)
    state = neighbors.init(vgg_params, pyramid, neighbors.content_start(pyramid), targets, 2)
    # The third step is beyond the stage's two.
    state = neighbors.run(vgg_params, state, targets, steps=3, rate=rate)
    return jnp.square(reconstruct(state.pyramid)).sum(), state.step

  gradients, steps = jax.jit(jax.grad(total, (0, 1, 2), has_aux=True))(
    jnp.ones(10), 2e-3, images[1], vgg_params
  )
  assert int(steps) == 2
  for gradient in gradients:
    assert np.isfinite(gradient).all() and float(jnp.abs(gradient).max()) > 0


def test_regions_and_weights_choose_the_style(vgg_params, images):
  """Places take only from their region's style; a style of weight 0 contributes nothing."""
  content, style = images[0][:1], images[1]
  styles = [style, 1 - style[:, ::-1], style[:, :16, :16]]
  targets = style_targets(vgg_params, styles, COLUMNS)
  source = np.asarray(targets.sources[0])
  assert np.bincount(source).tolist() == [30, 30, 16]
  pyramid = laplacian_pyramid(content)
  masks = jnp.zeros((3, 16, 64)).at[0, :, :32].set(1).at[2, :, 32:].set(1)
  matched = {
    name: np.asarray(init(vgg_params, pyramid, pyramid, targets, 1, weights=w).matched)
    for name, w in (
      ("masks", masks),
      ("two", jnp.asarray([0.5, 0.5, 0.0])),
      ("first", jnp.asarray([1.0, 0.0, 0.0])),
      ("all", jnp.ones(3) / 3),
    )
  }
  regions = source[matched["masks"]].reshape(4, 16)
  assert set(regions[:, :8].ravel()) == {0} and set(regions[:, 8:].ravel()) == {2}
  assert set(source[matched["two"]].ravel()) <= {0, 1}
  assert set(source[matched["first"]].ravel()) == {0}
  np.testing.assert_array_equal(
    matched["all"], init(vgg_params, pyramid, pyramid, targets, 1).matched
  )


def test_all_stages_in_one_call(vgg_params):
  """Two scales and the last pass on masks of two styles: a program for any number of steps."""
  rng = np.random.default_rng(1)
  content = jnp.asarray(rng.uniform(size=(1, 32, 128, 3)), jnp.float32)
  styles = [
    jnp.asarray(rng.uniform(size=(1, 32, 36, 3)) * c, jnp.float32)
    for c in ([1.0, 0.2, 0.2], [0.2, 0.2, 1.0])
  ]
  masks = jnp.zeros((2, 32, 128)).at[0, :, :64].set(1).at[1, :, 64:].set(1)

  @jax.jit
  def stylize(vgg_params, steps, own_color, palette):
    return neighbors.optimize_neighbors(
      vgg_params, content, styles, steps=steps, weights=masks, own_color=own_color, palette=palette
    )

  actual = stylize(vgg_params, jnp.asarray([4, 2, 2]), 0.0, 1.0)
  assert actual.shape == content.shape and actual.min() >= 0 and actual.max() <= 1
  left, right = actual[:, :, :56].mean((0, 1, 2)), actual[:, :, 72:].mean((0, 1, 2))
  assert left[0] > left[2] + 0.1 and right[2] > right[0] + 0.1
  still = stylize(vgg_params, jnp.asarray([0, 0, 0]), 1.0, 0.0)
  expected = jnp.clip(reconstruct(neighbors.content_start(laplacian_pyramid(content))), 0, 1)
  # Smoothed chroma clips other pixels.
  assert np.abs(still.mean(-1) - expected.mean(-1)).mean() < 0.02
  assert float(jnp.abs(actual - still).max()) > 0.01


def test_wrong_settings_are_one_line(vgg_params, images):
  content, style = images
  cases = (
    ((content[..., :2], [style]), {}, r"content: found shape \(2, 16, 64, 2\)"),
    ((content, []), {}, "styles: found none, expected at least one"),
    ((content, [style, style[:, :8]]), {}, r"style 1: found shape \(1, 8, 24, 3\)"),
    ((content, [jnp.concatenate([style, style])]), {}, r"style 0: .* expected \[1, h, w, 3\]"),
    ((content, [style]), {"steps": (1, 2, 3)}, "steps: found 3 numbers, expected 2"),
    ((content, [style]), {"weights": jnp.ones(2)}, r"weights: found shape \(2,\)"),
    ((content, [style]), {"layer_weights": jnp.ones(3)}, r"layer_weights: found shape \(3,\)"),
  )
  for arguments, settings, message in cases:
    with pytest.raises(ValueError, match=message):
      jax.eval_shape(
        lambda a=arguments, s=settings: neighbors.optimize_neighbors(vgg_params, *a, **s)
      )
  pyramid = laplacian_pyramid(content)
  with pytest.raises(InputError, match="start: found shapes"):
    neighbors.init(vgg_params, pyramid, pyramid[1:], None, 1)
