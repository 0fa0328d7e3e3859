"""Devices of several slices in a mesh: their places, the axes, and equal sums."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from stylejax.errors import InputError
from stylejax.training.replicas import make_mesh, make_replicas


@dataclasses.dataclass(frozen=True)
class Device:
  """What `make_mesh` reads from a device of a TPU job with several slices."""

  id: int
  slice_index: int | None = None


@pytest.mark.parametrize(
  "slice_indices, slices, rows",
  [
    ((0, 0, 1, 1), None, [[0, 1], [2, 3]]),
    # jax need not list the devices of a slice one after another.
    ((1, 0, 1, 0), None, [[1, 3], [0, 2]]),
    ((0, 0, 0, 1), None, [0, 1, 2, 3]),
    ((0, 0, 0, 0), None, [0, 1, 2, 3]),
    ((None,) * 4, None, [0, 1, 2, 3]),
    ((None,) * 4, 2, [[0, 1], [2, 3]]),
    ((0, 0, 1, 1), 1, [0, 1, 2, 3]),
  ],
)
def test_each_slice_is_a_row(slice_indices, slices, rows, monkeypatch):
  meshes = []
  monkeypatch.setattr(jax.sharding, "Mesh", lambda devices, axes: meshes.append((devices, axes)))
  make_mesh([Device(i, index) for i, index in enumerate(slice_indices)], slices=slices)
  ((devices, axes),) = meshes
  assert np.vectorize(lambda device: device.id)(devices).tolist() == rows
  assert axes == (("slice", "data") if isinstance(rows[0], list) else ("data",))


def test_slices_must_be_equal():
  with pytest.raises(InputError, match=r"--slices: found 3, expected a divisor of 8 devices"):
    make_mesh(jax.devices(), slices=3)


def mean_step(state, batch, *, axis_name=None):
  mean = jnp.mean(batch["x"], axis=0)
  return state + jax.lax.pmean(mean, axis_name), {"place": jax.lax.axis_index(axis_name)}


@pytest.mark.parametrize("slices", [1, 2, 4])
def test_a_mean_over_slices_is_the_mean_over_all(slices):
  x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
  replicas = make_replicas("shard_map", mean_step, slices=slices)
  assert replicas.mesh.shape.get("slice", 1) == slices
  batch = replicas.put_batch({"x": x})
  # The batch is split along both axes: two rows on each device, in order.
  for device, shard in zip(jax.devices(), batch["x"].addressable_shards, strict=True):
    assert shard.device == device
    np.testing.assert_array_equal(shard.data, x[2 * device.id : 2 * device.id + 2])
  state, _ = replicas.step(replicas.put_state(np.zeros(3, np.float32)), batch)
  np.testing.assert_allclose(state, x.mean(0), rtol=1e-6, atol=1e-7)
  assert state.sharding.spec == PartitionSpec()
