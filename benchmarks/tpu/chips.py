"""What makers publish about their chips: one table for all benchmarks; nothing is measured here.

Peaks are dense, in bfloat16. A float32 product at JAX's default precision runs at the same rate on
a TPU, which rounds its operands to bfloat16; the makers publish no other figure. How much memory a
program may take is not here: the compiler says it (`benchmarks.tpu.slices.memory_limit`).
"""

import dataclasses
import math

GB, GIB = 1e9, 2**30
# One hop between neighboring chips, which data sheets don't state. Source: Austin et al. 2025, "How
# to Scale Your Model", part 3 (jax-ml.github.io/scaling-book/sharding).
HOP_SECONDS = 1e-6


@dataclasses.dataclass(frozen=True)
class Tpu:
  """A TPU chip and how its kind is wired.

  Attributes:
    flops: peak FLOP/s of a chip in bfloat16.
    memory: bytes of a chip's HBM.
    bandwidth: bytes/s between HBM and the chip.
    link: bytes/s of one interconnect link in one direction; a chip has two links on each axis.
    network: bytes/s that a chip sends to other slices, through its share of the host's network;
      None where nobody publishes it.
    devices: devices that JAX sees in a chip: two for TPU7x, each with half of the figures above.
    ring: an axis whose side is a multiple of this is closed into a ring.
    axes: number of axes of the torus.
    longest: largest side that an axis may have.
    cubes: whether rings need every side to be such a multiple, as optical switches join whole
      cubes.
    source: where the figures are published.
  """

  flops: float
  memory: float
  bandwidth: float
  link: float
  ring: int
  axes: int
  longest: int
  cubes: bool
  source: str
  network: float | None
  devices: int = 1

  def closed(self, sides: tuple[int, ...]) -> tuple[bool, ...]:
    """Whether the last chip is linked to the first, for each axis of a slice."""
    whole = [side % self.ring == 0 for side in sides]
    return tuple(all(whole) if self.cubes else one for one in whole)


# Bandwidth of a link: the published one of the chip over its 4 or 6 links and 2 directions.
TPUS = {
  "v4": Tpu(
    flops=275e12,
    memory=32 * GIB,
    bandwidth=1200 * GB,
    link=50 * GB,
    axes=3,
    longest=16,
    ring=4,
    cubes=True,
    network=None,
    source="docs.cloud.google.com/tpu/docs/v4; links: Jouppi et al. 2023, "
    "arXiv:2304.01433, table 4",
  ),
  "v5e": Tpu(
    flops=197e12,
    memory=16 * GIB,
    bandwidth=819 * GB,
    link=400 * GB / 8,
    axes=2,
    longest=16,
    ring=16,
    cubes=False,
    network=6400e9 / 8 / 256,
    source="docs.cloud.google.com/tpu/docs/v5e; network: 6.4 Tbit/s of a pod of 256",
  ),
  "v5p": Tpu(
    flops=459e12,
    memory=95 * GIB,
    bandwidth=2765 * GB,
    link=1200 * GB / 12,
    axes=3,
    longest=24,
    ring=4,
    cubes=True,
    network=50e9 / 8,
    source="docs.cloud.google.com/tpu/docs/v5p",
  ),
  "v6e": Tpu(
    flops=918e12,
    memory=32 * GIB,
    bandwidth=1638 * GB,
    link=800 * GB / 8,
    axes=2,
    longest=16,
    ring=16,
    cubes=False,
    network=100e9 / 8,
    source="docs.cloud.google.com/tpu/docs/tpu7x (compared there), .../v6e",
  ),
  "tpu7x": Tpu(
    flops=2307e12,
    memory=192 * GIB,
    bandwidth=7380 * GB,
    link=1200 * GB / 12,
    axes=3,
    longest=24,
    ring=4,
    cubes=True,
    network=100e9 / 8,
    devices=2,
    source="docs.cloud.google.com/tpu/docs/tpu7x",
  ),
}
# {start of jax's device_kind: FLOP/s of a device}. GPUs: data sheets on
# nvidia.com/en-us/data-center.
PEAK_FLOPS = {
  "TPU v4": TPUS["v4"].flops,
  "TPU v5 lite": TPUS["v5e"].flops,
  "TPU v5": TPUS["v5p"].flops,
  "TPU v6 lite": TPUS["v6e"].flops,
  "TPU7x": TPUS["tpu7x"].flops / TPUS["tpu7x"].devices,
  "NVIDIA A100": 312e12,
  "NVIDIA H100 PCIe": 756e12,
  "NVIDIA H100 NVL": 835e12,
  "NVIDIA H100": 989e12,
  "NVIDIA H200": 989e12,
}


def all_reduce_seconds(chip: Tpu, sides: tuple[int, ...], size: float) -> float:
  """A lower bound for an all-reduce of `size` bytes over all chips of a slice.

  t = 2 · (n − 1)/n · size / (links · link) + 2 · Σ_axes hops · 1 µs

  It is a reduce-scatter and an all-gather, each of which moves (n − 1)/n of the array through every
  chip, split over the axes so that all links work at once. A closed axis counts two links and side
  / 2 hops, as a ring is used both ways; an open one counts one link and side − 1 hops. Sums between
  the devices of one chip are left out: nobody publishes that rate.

  Source: Austin et al. 2025, "How to Scale Your Model", part 3; Thakur et al. 2005, "Optimization
  of Collective Communication Operations in MPICH", section 4.5.
  """
  count = math.prod(sides)
  if count == 1:
    return 0.0
  axes = [(side, ring) for side, ring in zip(sides, chip.closed(sides), strict=True) if side > 1]
  links = sum(2 if ring else 1 for _, ring in axes)
  hops = sum(side // 2 if ring else side - 1 for side, ring in axes)
  moved = 2 * (count - 1) / count * size / (links * chip.link)
  return moved + 2 * hops * HOP_SECONDS


def network_seconds(chip: Tpu, slices: int, kind: str, size: float) -> float:
  """A lower bound for a collective between slices, of `size` bytes per device.

  t = 2 · (n − 1)/n · size / (network / devices) for an all-reduce over n slices, in which each
  device holds its own part of its slice's sum; half of it for another kind. Latencies are left out:
  nobody publishes them.

  Raises:
    ValueError: the chip's rate is not published.
  """
  if chip.network is None:
    raise ValueError("found a chip without a published rate of its network")
  whole = 2 * (slices - 1) / slices * size / (chip.network / chip.devices)
  return whole if kind == "all-reduce" else whole / 2


def collective_seconds(chip: Tpu, sides: tuple[int, ...], kind: str, size: float) -> float:
  """A lower bound for a collective whose result (a reduce-scatter's operand) has `size` bytes.

  An all-gather, a reduce-scatter or an all-to-all is costed as half an all-reduce, which overstates
  the last; a collective-permute as one hop over one link, which understates a distant one.
  """
  if kind == "collective-permute":
    return size / chip.link + HOP_SECONDS
  whole = all_reduce_seconds(chip, sides, size)
  return whole if kind == "all-reduce" else whole / 2
