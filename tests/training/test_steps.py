"""The three train steps: pure, with losses that fall; test_parallel_equal.py has the layouts."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from small_runs import EXTRA_WEIGHTS, SETTINGS

from stylejax.models.vgg16 import vgg16_features
from stylejax.training import replicas, step_utils
from stylejax.training.state import init_state, learning_rate_schedule, make_optimizers, select
from stylejax.training.tasks import AutoencoderConfig, GanConfig, TransferConfig, task_of, transfer
from stylejax.weights.perceptual import load_resnet, load_vgg

CONFIGS = {
  "autoencoder": AutoencoderConfig(**SETTINGS),
  "gan": GanConfig(**SETTINGS, critic_steps=2),
  "transfer": TransferConfig(**SETTINGS, **EXTRA_WEIGHTS),
  "transfer-wasserstein": TransferConfig(**SETTINGS, game="wasserstein"),
  "gan-hinge": GanConfig(**SETTINGS, game="hinge", critic_steps=2),
}
SLOW = ("transfer-wasserstein", "gan-hinge", "gan")


@pytest.fixture(scope="module")
def frozen():
  return {"vgg16": load_vgg(), "resnet50": load_resnet()}


def some_batch(config, step):
  rng = np.random.default_rng(step)
  side = config.crop_size
  # Smooth images, which a net can learn; noise would hide a loss that falls.
  small = rng.integers(0, 256, (2, config.batch, 4, 4, 3)).astype(np.float32)
  large = small.repeat(side // 4, axis=2).repeat(side // 4, axis=3).astype(np.uint8)
  index = step * config.batch + np.arange(config.batch, dtype=np.int32)
  batch = {"content": large[0], "style": large[1], "index": index}
  if isinstance(config, GanConfig):
    del batch["content"]
  return batch


@functools.cache
def fresh_state(config):
  """The state at step 0, on the host."""
  return jax.device_get(jax.jit(lambda: init_state(config))())


@functools.cache
def replicas_of(config):
  """The step on one device, traced and compiled once for all tests."""
  step = task_of(config).make_train_step(config)
  return replicas.make_replicas("shard_map", step, devices=jax.devices()[:1])


def run(config, frozen, count, replicas_of=replicas_of):
  """(metrics of each step, final state) of a few steps."""
  state, replicas = fresh_state(config), replicas_of(config)
  if isinstance(config, TransferConfig):
    state = state.replace(frozen=frozen)
  # A copy, since the step donates its state, and on one device nothing else would copy it.
  state, logged = replicas.put_state(jax.tree.map(np.array, state)), []
  for step in range(count):
    state, metrics = replicas.step(state, replicas.put_batch(some_batch(config, step)))
    logged.append(replicas.take_metrics(metrics))
  return logged, jax.device_get(replicas.take_state(state))


@pytest.mark.parametrize(
  "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CONFIGS]
)
def test_a_step_is_pure_and_changes_what_it_trains(name, frozen):
  config = CONFIGS[name]
  metrics, state = run(config, frozen, 2)
  # Traced again: what tracing leaves behind must not matter either.
  rerun, same = run(config, frozen, 2, replicas_of.__wrapped__)
  assert metrics == rerun
  assert int(state.step) == 2
  for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(same.params)):
    np.testing.assert_array_equal(a, b)
  fresh = fresh_state(config).params
  for part in ("content_encoder", "style_encoder", "generator", "discriminator", "noise_generator"):
    before, after = getattr(fresh, part), getattr(state.params, part)
    assert (before is None) == (after is None)
    if after is not None:
      moved = max(
        np.abs(np.asarray(a) - np.asarray(b)).max()
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after))
      )
      assert moved > 0, part
  assert all(np.isfinite(list(m.values())).all() for m in metrics)


@pytest.mark.parametrize("name", ["autoencoder", "transfer"])
def test_losses_fall(name, frozen):
  metrics, _ = run(CONFIGS[name], frozen, 25)
  losses = [m["loss"] for m in metrics]
  assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_nets_learn_from_a_teacher_without_a_perceptual_net():
  weights = {"content_weight": 0.0, "style_weight": 0.0, "adversarial_weight": 0.0}
  config = TransferConfig(**SETTINGS, **weights, teacher="a file", teacher_weight=10.0)
  assert config.perceptual_nets == ()
  teacher = fresh_state(config).params.replace(discriminator=None)
  (first, _), _ = run(config, {"teacher": teacher}, 2)
  # At first the student is its teacher's copy; only rounding tells them apart.
  assert first["teacher"] < 1e-6
  # A teacher with other results, from which it must learn.
  other = jax.tree.map(lambda x: 1.1 * x, teacher)
  metrics, _ = run(config, {"teacher": other}, 25)
  losses = [m["teacher"] for m in metrics]
  assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


@pytest.mark.slow
def test_remat_changes_no_number(frozen):
  expected, state = run(CONFIGS["transfer"], frozen, 2)
  actual, other = run(dataclasses.replace(CONFIGS["transfer"], remat=True), frozen, 2)
  for a, b in zip(expected, actual):
    np.testing.assert_allclose([a[k] for k in a], [b[k] for k in b], rtol=1e-5, atol=1e-7)
  for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(other.params)):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_perceptual_net_sees_crops_at_the_size_asked_for(frozen, monkeypatch):
  sizes = []

  def record(params, image, *, layers, **settings):
    sizes.append(image.shape)
    return vgg16_features(params, image, layers=layers, **settings)

  monkeypatch.setattr(transfer.vgg16, "vgg16_features", record)
  for perceptual_size, side in ((None, 64), (32, 32)):
    config = TransferConfig(**SETTINGS | {"size": 64}, perceptual_size=perceptual_size)
    state = fresh_state(config).replace(frozen=frozen)
    sizes.clear()
    jax.eval_shape(task_of(config).make_train_step(config), state, some_batch(config, 0))
    assert sizes and all(shape[1:3] == (side, side) for shape in sizes)


def test_windows_of_the_perceptual_net(rng):
  image = rng.random((64, 64, 3), np.float32)
  whole = transfer._resized_window(image, np.float32(0), np.array([0.3, 0.9], np.float32), side=48)
  np.testing.assert_allclose(whole, jax.image.resize(image, (48, 48, 3), "linear"), atol=1e-5)
  near = transfer._resized_window(image, np.float32(1), np.array([0.5, 1], np.float32), side=48)
  np.testing.assert_allclose(near, image[8:56, 16:], atol=1e-5)


def test_the_backbone_takes_smaller_steps():
  config = TransferConfig(**SETTINGS | {"warmup_steps": 0}, backbone_lr_scale=0.1)
  tx, _ = make_optimizers(config)

  @jax.jit
  def first_step(trained):
    return tx.update(
      jax.tree.map(lambda x: np.ones(x.shape, x.dtype), trained), tx.init(trained), trained
    )[0]

  updates = first_step(select(fresh_state(config).params, config.trained))

  def step(part, *names):
    tree = functools.reduce(lambda tree, name: tree[name], names, updates[part])
    return max(np.abs(x).max() for x in jax.tree.leaves(tree))

  # Adam's first step has the size of the rate, for any gradient but the smallest.
  style = step("generator", "modulation_0")
  for backbone in (step("content_encoder"), step("generator", "decoder")):
    assert backbone == pytest.approx(0.1 * style, rel=0.05)
  assert step("style_encoder") == pytest.approx(style, rel=0.05)


def test_muon_makes_updates_of_kernels_orthogonal_and_as_large_as_adams(rng):
  config = TransferConfig(**SETTINGS | {"warmup_steps": 0}, optimizer="muon", learning_rate=0.01)
  tx, _ = make_optimizers(config)
  trained = select(fresh_state(config).params, config.trained)
  grads = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), trained)
  updates = jax.jit(lambda grads: tx.update(grads, tx.init(trained), trained)[0])(grads)
  kernels = [x for x in jax.tree.leaves(updates) if x.ndim > 1]
  assert {x.ndim for x in kernels} == {2, 4}
  for update in kernels:
    # Orthogonal means that all singular values are equal; five iterations come within a half.
    values = np.linalg.svd(update.reshape(-1, update.shape[-1]), compute_uv=False)
    assert values.max() < 2 * values.min()
    assert np.sqrt(np.mean(np.square(update))) == pytest.approx(0.2 * 0.01, rel=0.35)
  # Biases take Adam as optax 0.2.8 has it within Muon: with Nesterov momentum, which makes the
  # first step 1 + b1 / (1 + b1) times as large as the rate.
  for update in (x for x in jax.tree.leaves(updates) if x.ndim == 1):
    np.testing.assert_allclose(np.abs(update), 0.01 * (1 + 0.9 / 1.9), rtol=0.01)


def test_muon_learns(frozen):
  config = AutoencoderConfig(**SETTINGS, optimizer="muon")
  losses = [m["loss"] for m in run(config, frozen, 25)[0]]
  assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_frozen_parameters_and_seed_stay(frozen):
  _, state = run(CONFIGS["transfer"], frozen, 2)
  jax.tree.map(np.testing.assert_array_equal, state.frozen, jax.device_get(frozen))
  np.testing.assert_array_equal(state.key, fresh_state(CONFIGS["transfer"]).key)


@pytest.mark.slow
def test_transfer_without_adversary_leaves_the_discriminator(frozen):
  config = TransferConfig(**SETTINGS, adversarial_weight=0.0)
  metrics, state = run(config, frozen, 1)
  assert "disc" not in metrics[0] and "adversarial" not in metrics[0]
  for a, b in zip(
    jax.tree.leaves(state.params.discriminator),
    jax.tree.leaves(fresh_state(config).params.discriminator),
  ):
    np.testing.assert_allclose(a, b, atol=1e-7)


def test_learning_rate_rises_stays_and_falls():
  config = TransferConfig(steps=100, warmup_steps=10, decay_fraction=0.3, final_rate=0.1)
  rate = learning_rate_schedule(config, 1e-3)
  assert rate(0) == 0
  np.testing.assert_allclose([rate(10), rate(40), rate(70)], 1e-3, rtol=1e-5)
  assert 1e-4 < rate(85) < 1e-3
  np.testing.assert_allclose(rate(100), 1e-4, rtol=1e-5)


def test_both_players_of_a_gan_slow_down_together():
  config = GanConfig(steps=10, warmup_steps=0, critic_steps=3, batch=6, preset="tiny")
  tx, disc_tx = make_optimizers(config)
  one = {"w": np.ones(1, np.float32)}

  def moved(tx, updates):
    state = tx.init(one)
    for _ in range(updates):
      change, state = tx.update(one, state, one)
    return abs(float(change["w"][0]))

  np.testing.assert_allclose(moved(disc_tx, 3 * 8), moved(tx, 8), rtol=0.02)
  assert moved(tx, 10) < 0.5 * moved(tx, 2)


def test_parts_of_a_batch_run_in_a_loop_but_on_a_cpu():
  """On CPUs, convolutions' gradients are tens of times slower in a loop (jaxlib 0.10.2 to 0.12.0.1:
  findings/xla_cpu_convolution_gradient_in_a_loop.sh)."""
  batch = {"x": np.arange(12, dtype=np.float32).reshape(6, 2), "index": np.arange(6)}

  @jax.jit
  def mean(batch):
    return step_utils.average(lambda part: {"x": (part["x"] ** 2).mean(0)}, batch, 3, None)

  np.testing.assert_allclose(mean(batch)["x"], (batch["x"] ** 2).mean(0), rtol=1e-6)
  for platform, loops in (("cpu", False), ("tpu", True)):
    text = mean.trace(batch).lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.while" in text) == loops
