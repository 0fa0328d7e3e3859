"""What collectives cost by published figures: each link of a torus, and the slices' network."""

import numpy as np
import pytest

from benchmarks.tpu import chips


@pytest.mark.parametrize(
  "name, sides, links, hops",
  [
    ("v5e", (2, 2), 2, 2),
    ("v5e", (4, 4), 2, 6),
    ("v5e", (8, 16), 3, 15),
    ("v5e", (16, 16), 4, 16),
    ("v4", (2, 2, 1), 2, 2),
    ("v4", (4, 4, 4), 6, 6),
    ("v5p", (2, 4, 4), 3, 7),
    ("v6e", (4, 4), 2, 6),
  ],
)
def test_all_reduce_uses_every_link_of_the_torus(name, sides, links, hops):
  chip, count, size = chips.TPUS[name], int(np.prod(sides)), 1e9
  expected = 2 * (count - 1) / count * size / (links * chip.link) + 2 * hops * 1e-6
  assert chips.all_reduce_seconds(chip, sides, size) == pytest.approx(expected, rel=1e-9)
  gather = chips.collective_seconds(chip, sides, "all-gather", size)
  assert gather == pytest.approx(expected / 2, rel=1e-9)


def test_one_chip_speaks_to_nobody():
  assert chips.all_reduce_seconds(chips.TPUS["v4"], (1, 1, 1), 1e9) == 0


def test_slices_send_their_sums_through_the_network_of_each_chip():
  v5e, tpu7x = chips.TPUS["v5e"], chips.TPUS["tpu7x"]
  # 25 and 100 Gbit/s a chip; a device of TPU7x has half a chip's.
  assert chips.network_seconds(v5e, 2, "all-reduce", 3.125e9) == pytest.approx(1.0)
  assert chips.network_seconds(v5e, 4, "all-reduce", 3.125e9) == pytest.approx(1.5)
  assert chips.network_seconds(v5e, 4, "all-gather", 3.125e9) == pytest.approx(0.75)
  assert chips.network_seconds(tpu7x, 2, "all-reduce", 6.25e9) == pytest.approx(1.0)
  with pytest.raises(ValueError, match="published"):
    chips.network_seconds(chips.TPUS["v4"], 2, "all-reduce", 1.0)


def test_a_device_of_tpu7x_is_half_a_chip():
  assert chips.PEAK_FLOPS["TPU7x"] == pytest.approx(2307e12 / 2)
  assert [kind for kind, chip in chips.TPUS.items() if chip.devices != 1] == ["tpu7x"]
