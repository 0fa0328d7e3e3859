"""Slices of TPUs to compile for without having one: their devices, and their memory.

Nothing here depends on what is compiled.
"""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import os
import re

import jax
import jax.numpy as jnp
from packaging.requirements import Requirement

from benchmarks.tpu import chips
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command

# Without these, libtpu asks a metadata server what it runs on, and locks out other processes.
ENVIRONMENT = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Slice:
  """One slice of TPUs, or several equal ones joined by the data center's network.

  Attributes:
    name: name of one slice, as libtpu takes it: kind and sides in chips.
    chip: kind of its chips.
    sides: sides of one slice, in chips.
    devices: devices of all slices, to compile for; TPU7x has two per chip.
    slices: number of slices.
  """

  name: str
  chip: chips.Tpu
  sides: tuple[int, ...]
  devices: list
  slices: int = 1

  @property
  def chips(self) -> int:
    """Number of chips of all slices."""
    return len(self.devices) // self.chip.devices

  @property
  def title(self) -> str:
    """The name, with the number of slices if there are several: "2 × v5e:16x16"."""
    return self.name if self.slices == 1 else f"{self.slices} × {self.name}"


def find_slice(name: str, *, slices: int = 1) -> Slice:
  """The slice of that name, or several of it.

  Raises:
    InputError: there is no such slice, no libtpu that goes with this jax, or no published figure
      for the network between slices of that kind.
  """
  chip, sides = parsed(name, slices=slices)
  check_libraries()
  for key, value in ENVIRONMENT.items():
    os.environ.setdefault(key, value)
  from jax.experimental import topologies

  # On v4, programs run on both cores of a chip as one device.
  more = {"chip_config_name": "megacore"} if chip is chips.TPUS["v4"] else {}
  if slices > 1:
    more["num_slices"] = slices
  try:
    topology = topologies.get_topology_desc(platform="tpu", topology_name=name, **more)
  except jax.errors.JaxRuntimeError as error:
    raise InputError(
      f"--topology: found {name!r}, of which libtpu says: {str(error).splitlines()[0]}"
    ) from None
  return Slice(name, chip, sides, list(topology.devices), slices)


def parsed(name: str, *, slices: int = 1) -> tuple[chips.Tpu, tuple[int, ...]]:
  """(chip, sides) from a slice's name; InputError like `find_slice`, but without asking libtpu."""
  match = re.fullmatch(r"(\w+):(\d+(?:x\d+)+)", name)
  chip = chips.TPUS.get(match[1]) if match else None
  sides = tuple(int(side) for side in match[2].split("x")) if match else ()
  if chip is None or len(sides) != chip.axes or max(sides) > chip.longest:
    raise InputError(
      f"--topology: found {name!r}, expected one of {', '.join(chips.TPUS)} and its "
      "sides, such as v5e:16x16 (at most) or v4:4x4x4"
    )
  if slices > 1 and chip.network is None:
    raise InputError(
      f"--slices: found {slices} of {name}, expected 1: nobody publishes how fast its slices "
      "talk to each other"
    )
  return chip, sides


def check_libraries() -> None:
  """Raises InputError unless libtpu is installed in a version that this jax requires.

  Other versions may compile for some kinds and fail for others, or count differently.
  """
  if importlib.util.find_spec("libtpu") is None:
    raise InputError("libtpu: found none, expected it for compiling: " + install_command("tpu"))
  declared = map(Requirement, importlib.metadata.requires("jax") or [])
  fitting = next((one for one in declared if one.name == "libtpu"), None)
  found = importlib.metadata.version("libtpu")
  if fitting is not None and not fitting.specifier.contains(found):
    raise InputError(
      f"libtpu: found {found} beside jax {jax.__version__}, expected libtpu{fitting.specifier}, "
      "which that jax goes with: " + install_command("tpu")
    )


def memory_limit(place: Slice) -> float:
  """Bytes of HBM that a program may take on a device, which the compiler says if one takes more.

  It is less than the data sheet's: the system reserves some, and a TPU7x device has half a chip's.
  """
  return _memory_limit(place.devices[0])


@functools.cache
def _memory_limit(device) -> float:
  sharding = jax.sharding.SingleDeviceSharding(device)
  huge = jax.ShapeDtypeStruct((2**17, 2**20), jnp.float32, sharding=sharding)
  try:
    jax.jit(jnp.sin).lower(huge).compile()
  except jax.errors.JaxRuntimeError as error:
    match = re.search(r"exceeds available HBM \(([\d.]+)([KMGT])\)", str(error))
    if match:
      return float(match[1]) * UNITS[match[2]]
    raise
  raise RuntimeError(f"found {device.device_kind} with room for a TiB, expected less")


def memory_needed(message: str) -> float | None:
  """Bytes of HBM that the program would take by the compiler's message, which has two forms."""
  match = re.search(r"Used ([\d.]+)([KMGT]) of |\(([\d.]+)([KMGT])\) exceeds", message)
  return float(match[1] or match[3]) * UNITS[match[2] or match[4]] if match else None
