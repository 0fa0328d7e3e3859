"""The pod report: parsing of HLO, the roofline's arithmetic, and the step compiled for a slice.

Tests marked tpu compile for TPUs, without one; they need the extra `tpu` and minutes.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import stylejax
from benchmarks.harness import command_line
from benchmarks.tpu import chips, hlo, pod, pod_search, programs, slices, steps
from benchmarks.tpu.slices import Slice
from stylejax import PRESETS, transfer
from stylejax.errors import InputError
from stylejax.training.state import init_state
from stylejax.training.tasks import AutoencoderConfig
from tests.benchmarks.tpu import hlo_checks

ROOT = Path(__file__).parents[3]


def test_roofline_is_the_slower_of_compute_and_memory_then_communication():
  place = Slice("v5e:16x16", chips.TPUS["v5e"], (16, 16), [None] * 256)
  sums = [{"between": "devices", "kind": "all-reduce", "each": [1e8, 1e8]}]
  actual = steps.roofline(place, 1.97e12, 8.19e8, sums)
  # 10 ms of arithmetic, 1 ms of HBM, and twice 2 · 255/256 · 1e8 / (4 · 50e9) s + 32 µs.
  expected = 2 * (2 * 255 / 256 * 1e8 / 200e9 + 32e-6)
  assert actual["compute_seconds"] == pytest.approx(10e-3)
  assert actual["memory_seconds"] == pytest.approx(1e-3)
  assert actual["communication_seconds"] == pytest.approx(expected)
  assert actual["step_seconds"] == pytest.approx(10e-3 + expected)
  slow = steps.roofline(place, 1.97e12, 81.9e9, [])
  assert slow["step_seconds"] == pytest.approx(0.1)


def test_roofline_of_two_slices_adds_what_goes_between_them():
  place = Slice("v5e:16x16", chips.TPUS["v5e"], (16, 16), [None] * 512, slices=2)
  assert (place.chips, place.title) == (512, "2 × v5e:16x16")
  part = [{"between": "slices", "kind": "all-reduce", "each": [1e6]}]
  actual = steps.roofline(place, 1.97e12, 0, part)
  # A device sends its 1 MB through 25 Gbit/s.
  assert actual["between_slices_seconds"] == pytest.approx(1e6 / 3.125e9)
  assert actual["within_slices_seconds"] == 0
  assert actual["step_seconds"] == pytest.approx(10e-3 + 1e6 / 3.125e9)


def test_a_slice_of_tpu7x_has_two_devices_a_chip():
  place = Slice("tpu7x:2x2x1", chips.TPUS["tpu7x"], (2, 2, 1), [None] * 8)
  assert place.chips == 4


def test_a_libtpu_of_another_jax_is_refused(monkeypatch):
  monkeypatch.setattr(slices.importlib.util, "find_spec", lambda name: name)
  monkeypatch.setattr(slices.importlib.metadata, "version", lambda name: "0.0.52")
  with pytest.raises(InputError, match=rf"found 0.0.52 beside jax {jax.__version__}, expected"):
    slices.check_libraries()


def test_several_slices_without_a_published_network_are_refused():
  with pytest.raises(InputError, match=r"--slices: found 2 of v4:2x2x1"):
    slices.find_slice("v4:2x2x1", slices=2)


@pytest.mark.parametrize(
  "fixed, each, silent",
  [
    (2e9, 1.3e8, False),
    (2e9, 1.3e8, True),
    (0.0, 5e8, False),
    (14e9, 1e9, False),
    (17e9, 1.0, False),
  ],
)
def test_largest_batch_is_found_in_a_few_compilations(fixed, each, silent):
  tried, limit, unit = [], 16e9, 32

  def needed(batch):
    tried.append(batch)
    # Not quite linear, as memory is not.
    used = fixed + each * batch / 16 * (1 + 0.02 * np.sin(batch))
    return used <= limit, None if silent and used > limit else used

  most = steps.largest_batch(needed, 8192, None if silent else fixed + each * 512, unit, limit)
  fitting = [batch for batch in range(unit, 8192, unit) if needed(batch)[0]]
  del tried[-len(range(unit, 8192, unit)) :]
  assert most == max(fitting, default=0)
  assert len(tried) <= 12


def test_memory_needed_is_read_from_the_compilers_message():
  message = (
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
    "space hbm. Used 18.50G of 15.75G hbm. Exceeded hbm capacity by 2.75G."
  )
  assert slices.memory_needed(message) == 18.5 * 2**30
  message = (
    "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
    "temporaries (48.00G) exceeds available HBM (15.75G)."
  )
  assert slices.memory_needed(message) == 48 * 2**30
  assert slices.memory_needed("RESOURCE_EXHAUSTED: no figure") is None


def test_efficiency_is_per_chip_and_of_the_smallest_slice():
  rows = [{"chips": 4, "images_per_second": 400.0}, {"chips": 16, "images_per_second": 1200.0}]
  assert [row["efficiency"] for row in steps.with_efficiency(rows)] == [1.0, 0.75]


def run(*arguments):
  return subprocess.run(
    [sys.executable, "-m", "benchmarks.tpu.pod", *arguments],
    cwd=ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize("topology", ["v9:2x2", "v5e", "v5e:2x2x2", "v5e:32x32", "v4:4x4"])
def test_unknown_slices_are_one_line(topology, capfd, monkeypatch):
  if topology == "v5e":
    done = run("--topology", topology)
    code, error = done.returncode, done.stderr
  else:  # without the seconds that a process of its own takes to start
    monkeypatch.setattr(sys, "argv", ["pod", "--topology", topology])
    with pytest.raises(SystemExit) as end:
      command_line.command(pod.main, pod.Options, pod.__doc__, alone=False)
    code, error = end.value.code, capfd.readouterr().err
  assert code == 2 and topology in error, error
  assert len(error.splitlines()) == 1


@pytest.mark.tpu
def test_stylize_keeps_to_bfloat16_and_to_its_convolutions_layout_on_a_tpu():
  place = slices.find_slice("v5e:4x4")
  mesh = Mesh(np.array(place.devices), ("data",))

  def placed(tree, *names):
    sharding = NamedSharding(mesh, PartitionSpec(*names))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)

  params = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), PRESETS["large"]))
  images = placed(jax.ShapeDtypeStruct((8 * 16, 128, 128, 3), jnp.float32), "data")
  split = PartitionSpec("data")
  run = jax.jit(
    jax.shard_map(
      transfer.stylize,
      mesh=mesh,
      in_specs=(PartitionSpec(), split, split),
      out_specs=split,
      check_vma=False,
    )
  )
  text = run.lower(placed(params), images, images).compile().as_text()
  module = hlo.instructions(text)
  types = hlo_checks.convolution_types(module)
  assert len(types) > 20
  assert [actual for actual in types if set(actual[1]) != {"bf16"}] == []
  # Only the image's own 3 and 12 channels are rearranged, before the first and after the last.
  assert [(line.name, line.source) for line in hlo_checks.layout_changes(module)] == []


@pytest.mark.tpu
@pytest.mark.parametrize(
  "name, gib",
  [
    ("v4:2x2x1", 30.75),
    ("v5e:2x2", 15.75),
    ("v5p:2x2x1", 95.74),
    ("v6e:2x2", 31.25),
    ("tpu7x:2x2x1", 94.75),
  ],
)
def test_memory_limit_is_the_compilers(name, gib):
  place = slices.find_slice(name)
  assert slices.memory_limit(place) == gib * 2**30 < place.chip.memory * 1.01


@pytest.mark.tpu
def test_two_slices_sum_within_each_before_they_send(tmp_path):
  """The mesh's outer axis is the slice; a device only sends its part of its slice's sum."""
  place = slices.find_slice("v5e:2x2", slices=2)
  assert (len(place.devices), place.chips) == (8, 8)
  config = AutoencoderConfig(preset="tiny", size=32, batch=16)
  module = hlo.instructions(programs.lower_step(config, place.devices).compile().as_text())
  between = {(found["between"], found["kind"]): found for found in hlo.collectives(module)}
  state = jax.eval_shape(lambda: init_state(config))
  parts = state.params.content_encoder, state.params.generator["decoder"]
  trained = sum(x.size for x in jax.tree.leaves(parts))
  # XLA sums small arrays whole within a slice, larger ones as a reduce-scatter.
  inside = between.get(("devices", "all-reduce"), between.get(("devices", "reduce-scatter")))
  assert 4 * trained <= inside["bytes"] <= 4 * trained + 2048
  # A quarter per device, padded to a chip's 128 lanes, of which narrow nets like these fill few.
  # Each device's whole sum would take four times as much.
  assert trained <= between["slices", "all-reduce"]["bytes"] <= 4 * 4 * trained
  assert between["devices", "all-gather"]["bytes"] <= 4 * trained + 2048


@pytest.mark.tpu
def test_search_ranks_what_fits(tmp_path):
  options = pod_search.Options(
    command="autoencoder",
    preset="tiny",
    size=128,
    topology="v5e:2x2",
    per_chip=(8, 16),
    accumulates=(1, 2),
    cache=tmp_path,
  )
  rows = pod_search.search(options, slices.find_slice(options.topology))
  assert {(row["batch_per_chip"], row["accumulate"]) for row in rows} == {
    (8, 1),
    (16, 1),
    (8, 2),
    (16, 2),
  }
  rates = [row["images_per_second"] for row in rows]
  assert rates == sorted(rates, reverse=True)
  by_case = {(row["batch_per_chip"], row["accumulate"]): row for row in rows}
  # A device computes the same images, at once or in two parts.
  once, twice = by_case[16, 1], by_case[16, 2]
  assert 0.9 < twice["gflop"] / once["gflop"] < 1.2
  assert twice["memory_mib"]["temp"] <= once["memory_mib"]["temp"]


def padded(shape):
  """How many numbers an array of a shape takes in whole tiles of 8 × 128."""
  *rest, rows, columns = (1, 1, *shape)
  return math.prod(rest) * -(-rows // 8) * 8 * -(-columns // 128) * 128


@pytest.mark.tpu
def test_report_of_a_slice_is_that_of_its_compilation(tmp_path):
  output = tmp_path / "pod.json"
  done = run(
    "--topology",
    "v5e:4x4",
    "--command",
    "autoencoder",
    "--preset",
    "tiny",
    "--size",
    "32",
    "--output",
    str(output),
    "--cache",
    str(tmp_path / "cache"),
  )
  assert done.returncode == 0, done.stderr
  (row,) = json.loads(output.read_text())["rows"]
  assert (row["chips"], row["batch"], row["batch_per_chip"]) == (16, 128, 8)
  state = jax.eval_shape(lambda: init_state(AutoencoderConfig(preset="tiny")))
  leaves = jax.tree.leaves(state)
  held = sum(x.size * x.dtype.itemsize for x in leaves) / 2**20
  # Narrow nets like these fill few of the 8 × 128 numbers that a chip stores together.
  tiles = sum(x.dtype.itemsize * padded(x.shape) for x in leaves) / 2**20
  assert held < row["memory_mib"]["argument"] < tiles + 1
  # An autoencoder uses only the generator's decoder; zero gradients need not be sent.
  parts = state.params.content_encoder, state.params.generator["decoder"]
  trained = sum(x.size for x in jax.tree.leaves(parts))
  reduced = {actual["kind"]: actual["bytes"] for actual in row["collectives"]}
  assert reduced.keys() == {"all-reduce"}
  # The gradients, and a few scalars.
  assert 4 * trained <= reduced["all-reduce"] <= 4 * (trained + 16)
  second = run(
    "--topology",
    "v5e:4x4",
    "--command",
    "autoencoder",
    "--preset",
    "tiny",
    "--size",
    "32",
    "--cache",
    str(tmp_path / "cache"),
  )
  assert second.stdout == done.stdout
