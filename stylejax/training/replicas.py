"""Maps a train step over all devices: `shard_map` under `jit` on a mesh, or `pmap`.

The mesh is ("data",), or ("slice", "data") with a row for each of several slices. All ways give the
same numbers. The step itself knows only the names of the axes that it averages over.
"""

import functools
import importlib.metadata
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from stylejax.errors import InputError
from stylejax.runtime.jit import training_options
from stylejax.runtime.xla_flags import add_xla_flags

AXIS = "data"
OUTER_AXIS = "slice"


def make_replicas(
  mode: str,
  step: Callable,
  *,
  devices: Sequence[jax.Device] | None = None,
  slices: int | None = None,
):
  """Maps `step(state, batch, *, axis_name)` over devices, as a `ShardMap` or `Pmap`.

  Args:
    mode: "shard_map" or "pmap".
    step: the train step.
    devices: the devices to run on; by default all devices of all processes.
    slices: as in `make_mesh`; ignored by pmap.
  """
  devices = list(devices or jax.devices())
  if mode == "pmap":
    return Pmap(step, devices)
  return ShardMap(step, make_mesh(devices, slices=slices))


def make_mesh(devices: Sequence[jax.Device], *, slices: int | None = None) -> jax.sharding.Mesh:
  """Makes a mesh of devices along "data", or of slices along "slice" and devices along "data".

  A sum over both axes is one collective for XLA, which on TPUs sums within each slice first, so
  that each chip sends only its share of the sum to the other slices.

  Args:
    devices: in the order in which the batch is split; they are sorted by slice first.
    slices: number of equal parts, in that order; by default one for each `slice_index` of the
      devices, or a single one if the slices are unequal or unknown. A single one gets no axis.

  Raises:
    InputError: the devices can't be divided into that many equal slices.
  """
  slice_of = [getattr(device, "slice_index", None) or 0 for device in devices]
  ordered = [devices[i] for i in sorted(range(len(devices)), key=slice_of.__getitem__)]
  if slices is None:
    sizes = {slice_of.count(index) for index in set(slice_of)}
    slices = len(set(slice_of)) if len(sizes) == 1 else 1
  if len(devices) % slices:
    raise InputError(f"--slices: found {slices}, expected a divisor of {len(devices)} devices")
  if slices == 1:
    return jax.sharding.Mesh(np.array(ordered), (AXIS,))
  return jax.sharding.Mesh(np.array(ordered).reshape(slices, -1), (OUTER_AXIS, AXIS))


def require_determinism() -> None:
  """Makes XLA avoid what may differ from run to run on a GPU; call it before any backend starts.

  It avoids atomic sums and the choice of kernels by timing. CPU and TPU programs use neither.

  Raises:
    InputError: the installed jaxlib doesn't know the flag, so determinism can't be guaranteed.
  """
  refused = add_xla_flags("--xla_gpu_deterministic_ops=true", override=True)
  if refused:
    raise InputError(
      f"--deterministic: found jaxlib {importlib.metadata.version('jaxlib')}, "
      f"which refuses {refused[0]}, expected one that takes it"
    )


def replicated(devices: Sequence[jax.Device] | None = None) -> NamedSharding:
  """The sharding that puts a whole array on each device of all processes."""
  return NamedSharding(
    jax.sharding.Mesh(np.array(devices or jax.devices()), (AXIS,)), PartitionSpec()
  )


def local(tree: Any) -> Any:
  """This process's own copy of replicated arrays, to work on without the other processes."""
  return jax.tree.map(lambda x: x.addressable_data(0), tree)


def check_batch(batch: int, *, group: int = 1, devices: Sequence[jax.Device] | None = None) -> None:
  """Raises InputError unless all devices get equally many examples, in whole groups."""
  count = len(devices or jax.devices())
  if batch % (count * group):
    grouped = f" × {group} (--style-repeat, --critic-steps, --accumulate)" if group > 1 else ""
    raise InputError(
      f"--batch: found {batch}, expected a multiple of {count * group}: {count} device(s){grouped}"
    )


class ShardMap:
  """State replicated over a mesh, batch split along all its axes; one program for all devices."""

  def __init__(self, step: Callable, mesh: jax.sharding.Mesh):
    self.mesh = mesh
    here = [d for d in mesh.devices.flat if d.process_index == jax.process_index()]
    axes = mesh.axis_names if len(mesh.axis_names) > 1 else AXIS
    self._replicated = NamedSharding(mesh, PartitionSpec())
    self._split = NamedSharding(mesh, PartitionSpec(axes))
    # check_vma off: gradients stay local until the step averages them, as under pmap.
    self.step = jax.jit(
      jax.shard_map(
        functools.partial(step, axis_name=axes),
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(axes)),
        out_specs=PartitionSpec(),
        check_vma=False,
      ),
      donate_argnums=0,
      compiler_options=training_options((here or list(mesh.devices.flat))[0]),
    )

  def lower(self, state: Any, batch: Any) -> jax.stages.Lowered:
    """The step for a state and a batch of these shapes, lowered but not run.

    The arrays need not be on the devices, and the devices need not exist: a topology's suffice.
    """
    return self.step.lower(_placed(state, self._replicated), _placed(batch, self._split))

  def put_state(self, state: Any) -> Any:
    """Copies a state to every device."""
    if self._replicated.is_fully_addressable:
      return jax.device_put(state, self._replicated)
    # device_put would compare every array with those of the other processes.
    return jax.tree.map(lambda x: self._everywhere(np.asarray(x)), state)

  def _everywhere(self, array: np.ndarray) -> jax.Array:
    return jax.make_array_from_callback(array.shape, self._replicated, lambda i: array[i])

  def put_batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """Splits this process's share of a global batch over its devices."""
    return {
      name: jax.make_array_from_process_local_data(self._split, x) for name, x in batch.items()
    }

  def take_state(self, state: Any) -> Any:
    """The state without its mapping, for checkpoints and previews."""
    return state

  def take_metrics(self, metrics: Any) -> Any:
    """Metrics on the host, as floats."""
    return jax.tree.map(float, jax.device_get(metrics))


def _placed(tree: Any, sharding: NamedSharding) -> Any:
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


class Pmap:
  """State stacked along a leading device axis, batch reshaped to [devices, B/devices, ...]."""

  def __init__(self, step: Callable, devices: list[jax.Device]):
    self._devices = devices
    self._local = [d for d in devices if d.process_index == jax.process_index()]
    self._replicated = replicated(devices)
    self.step = jax.pmap(
      functools.partial(step, axis_name=AXIS), axis_name=AXIS, devices=devices, donate_argnums=0
    )

  def lower(self, state: Any, batch: Any) -> jax.stages.Lowered:
    """The step for a state of these shapes and a batch from `put_batch`, lowered but not run."""
    count = len(self._local)
    stacked = jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), state)
    return self.step.lower(stacked, batch)

  def put_state(self, state: Any) -> Any:
    """Copies a state to every device."""
    return jax.tree.map(lambda x: np.stack([np.asarray(x)] * len(self._local)), state)

  def put_batch(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Splits this process's share of a global batch over its devices."""
    count = len(self._local)
    return {name: x.reshape(count, x.shape[0] // count, *x.shape[1:]) for name, x in batch.items()}

  def take_state(self, state: Any) -> Any:
    """The state without its mapping, for checkpoints and previews."""
    return jax.tree.map(
      lambda x: jax.make_array_from_single_device_arrays(
        x.shape[1:], self._replicated, [shard.data[0] for shard in x.addressable_shards]
      ),
      state,
    )

  def take_metrics(self, metrics: Any) -> Any:
    """Metrics on the host, as floats."""
    return jax.tree.map(
      lambda x: float(np.asarray(x.addressable_shards[0].data).reshape(-1)[0]), metrics
    )
