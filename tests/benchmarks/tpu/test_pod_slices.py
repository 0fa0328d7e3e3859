"""Several slices by the program of one: sums taken apart, and a roofline by hand."""

import pytest

from benchmarks.tpu import chips, pod_slices
from benchmarks.tpu.slices import Slice
from stylejax.errors import InputError

PROGRAM = {
  "case": "transfer step",
  "topology": "v5e:4x4",
  "chips": 16,
  "preset": "large",
  "size": 256,
  "dtype": "bfloat16",
  "remat": False,
  "batch_per_chip": 16,
  "gflop_per_chip": 7880.0,
  "hbm_gb_per_chip": 8.19,
  "memory_mib": {"peak": 5000.0},
  "memory_share": 0.3,
  "collectives": [{"kind": "all-reduce", "count": 2, "bytes": 256e6, "each": [200e6, 56e6]}],
}


def test_each_device_sends_its_part_of_its_slices_sum():
  place = Slice("v5e:16x16", chips.TPUS["v5e"], (16, 16), [None] * 1024, slices=4)
  apart = pod_slices.over_slices(PROGRAM["collectives"], place)
  assert [(found["between"], found["kind"], found["each"]) for found in apart] == [
    ("devices", "reduce-scatter", [200e6, 56e6]),
    ("slices", "all-reduce", [200e6 / 256, 56e6 / 256]),
    ("devices", "all-gather", [200e6, 56e6]),
  ]
  one = Slice("v5e:16x16", chips.TPUS["v5e"], (16, 16), [None] * 256)
  (whole,) = pod_slices.over_slices(PROGRAM["collectives"], one)
  assert whole == {"between": "devices", **PROGRAM["collectives"][0]}


def test_roofline_of_four_slices_is_that_of_one_and_what_goes_between():
  one, four = (pod_slices.row_of(PROGRAM, "v5e:16x16", count) for count in (1, 4))
  assert (four["chips"], four["batch"]) == (1024, 16 * 1024)
  # 40 ms of arithmetic; within a slice as much as of one; 1 MB a device at 25 Gbit/s, 1.5 times.
  assert one["roofline"]["compute_seconds"] == pytest.approx(40e-3)
  within = one["roofline"]["communication_seconds"]
  assert four["roofline"]["within_slices_seconds"] == pytest.approx(within)
  assert four["roofline"]["between_slices_seconds"] == pytest.approx(1.5 * 1e6 / 3.125e9)
  step = 40e-3 + within + 1.5 * 1e6 / 3.125e9
  assert four["images_per_second"] == pytest.approx(16 * 1024 / step)


def test_what_is_no_sum_is_refused():
  place = Slice("v5e:2x2", chips.TPUS["v5e"], (2, 2), [None] * 8, slices=2)
  gather = {"kind": "all-gather", "count": 1, "bytes": 4.0, "each": [4.0]}
  with pytest.raises(InputError, match="found a all-gather, expected sums alone"):
    pod_slices.over_slices([gather], place)
