"""The pod report: HLO read aright, the roofline's arithmetic, and the step compiled for a slice.

Tests marked tpu compile for TPUs, without one; they need the extra `tpu` and minutes.
"""

import json
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
from benchmarks.tpu import chips, hlo, pod, pod_scaling
from stylejax import PRESETS, transfer
from stylejax.training.state import init_state
from stylejax.training.tasks import AutoencoderConfig
from tests.benchmarks.tpu import hlo_checks

ROOT = Path(__file__).parents[3]
MODULE = """HloModule jit_step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

%conv (p0: bf16[8,16,16,128], p1: f32[3,3,128,128]) -> bf16[8,16,16,128] {
  %p0 = bf16[8,16,16,128]{3,0,2,1:T(8,128)(2,1)} parameter(0)
  %p1 = f32[3,3,128,128]{3,2,1,0:T(8,128)} parameter(1)
  %k = bf16[3,3,128,128]{3,2,1,0:T(8,128)(2,1)} convert(%p1)
  ROOT %c = bf16[8,16,16,128]{3,0,2,1:T(8,128)(2,1)} convolution(%p0, %k), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f, metadata={op_name="jit(step)/Conv_0/conv_general_dilated"}
}

ENTRY %main (x: bf16[8,16,16,128], w: f32[3,3,128,128], v: f32[128]) -> (f32[128], f32[3,3,128,128]) {
  %x = bf16[8,16,16,128]{3,2,1,0:T(8,128)(2,1)} parameter(0)
  %w = f32[3,3,128,128]{3,2,1,0:T(8,128)} parameter(1)
  %v = f32[128]{0:T(128)} parameter(2)
  %turned = bf16[8,16,16,128]{3,0,2,1:T(8,128)(2,1)S(1)} copy(%x), metadata={op_name="jit(step)/turn"}
  %moved = bf16[8,16,16,128]{3,0,2,1:T(8,128)(2,1)} copy(%turned)
  %narrow = f32[8,16,16,3]{2,1,3,0:T(8,128)} convert(%x)
  %image = f32[8,16,16,3]{0,2,3,1:T(8,128)} copy(%narrow)
  %fetch = ((f32[3,3,128,128]{3,2,1,0:T(8,128)}), f32[1,3,128,128]{3,2,1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%w), slice={[0:1], [0:3], [0:128], [0:128]}
  %fetched = f32[1,3,128,128]{3,2,1,0:T(8,128)S(1)} slice-done(%fetch)
  %y = bf16[8,16,16,128]{3,0,2,1:T(8,128)(2,1)S(1)} fusion(%turned, %w), kind=kOutput, calls=%conv, backend_config={"window_config":{"estimated_cycles":"1200"}}
  %z = f32[8,16,16,128]{3,0,2,1:T(8,128)S(1)} convolution(%y, %w), window={size=1x1}, dim_labels=b01f_01io->b01f, metadata={op_name="jit(step)/Conv_1/conv_general_dilated"}, backend_config={"window_config":{"estimated_cycles":"34"}}
  %d = f32[8,128]{1,0:T(8,128)S(1)} convolution(%v, %v), dim_labels=bf_io->bf, metadata={op_name="jit(step)/dot_general"}
  %g = (f32[128]{0:T(128)S(1)}, f32[3,3,128,128]{3,2,1,0:T(8,128)S(1)}, /*index=2*/f32[]{:T(128)S(1)}) all-reduce(%v, %w, %d), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add, metadata={op_name="jit(step)/psum"}
  %s = f32[128]{0:T(128)S(1)} all-reduce-start(%v), channel_id=2, replica_groups=[1,4]<=[4], to_apply=%add
  %t = f32[128]{0:T(128)S(1)} all-reduce-done(%s)
  %r = f32[32]{0:T(128)S(1)} reduce-scatter(%v), channel_id=3, replica_groups=[1,4]<=[4], dimensions={0}, to_apply=%add
  %r2 = f32[64]{0:T(128)S(1)} reduce-scatter(%v), channel_id=6, replica_groups={{0,1},{2,3}}, dimensions={0}, to_apply=%add
  %h = (f32[32]{0:T(128)S(1)}, f32[128]{0:T(128)S(1)}) all-gather-start(%r), channel_id=4, replica_groups=[1,4]<=[4], dimensions={0}
  %i = f32[128]{0:T(128)S(1)} all-gather-done(%h)
  %q = (f32[128]{0:T(128)S(1)}, f32[128]{0:T(128)S(1)}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%i), channel_id=5, source_target_pairs={{0,1},{1,0}}
  %u = f32[128]{0:T(128)S(1)} collective-permute-done(%q)
  ROOT %out = (f32[128]{0:T(128)S(1)}, f32[3,3,128,128]{3,2,1,0:T(8,128)S(1)}) tuple(%u, %w)
}
"""  # noqa: E501
KERNEL, VECTOR, MAP = 4 * 9 * 128 * 128, 4 * 128, 2 * 8 * 16 * 16 * 128


@pytest.fixture(scope="module")
def module():
  return hlo.instructions(MODULE)


def test_every_collective_counts_once_with_the_whole_array(module):
  assert {actual["kind"]: actual["each"] for actual in hlo.collectives(module)} == {
    "all-reduce": [VECTOR + KERNEL + 4, VECTOR],
    "reduce-scatter": [VECTOR, VECTOR],
    "all-gather": [VECTOR],
    "collective-permute": [VECTOR],
  }
  first = hlo.collectives(module)[0]
  assert (first["count"], first["bytes"]) == (2, 2 * VECTOR + KERNEL + 4)


def test_hbm_traffic_leaves_out_what_stays_in_faster_memory(module):
  image = 4 * 8 * 16 * 16 * 3
  by_line = {
    "turned": MAP,
    "moved": MAP,
    "narrow": MAP + image,
    "image": 2 * image,
    "fetch": KERNEL // 3,
    "y": KERNEL,
    "z": KERNEL,
    "d": 2 * VECTOR,
    "g": VECTOR + KERNEL,
    "s": VECTOR,
    "t": 0,
    "r": VECTOR,
    "r2": VECTOR,
  }
  assert hlo.hbm_bytes(module) == sum(by_line.values())


def test_convolutions_show_their_types_and_products_do_not_count(module):
  assert hlo_checks.convolution_types(module) == [
    ("jit(step)/Conv_0/conv_general_dilated", ("bf16", "bf16")),
    ("jit(step)/Conv_1/conv_general_dilated", ("bf16", "f32")),
  ]


def test_a_copy_that_turns_a_wide_map_is_a_layout_change(module):
  assert [line.name for line in hlo_checks.layout_changes(module)] == ["turned"]
  assert [line.name for line in hlo_checks.layout_changes(module, channels=3)] == [
    "turned",
    "image",
  ]


def test_cycles_are_those_of_the_schedule(module):
  assert hlo.estimated_cycles(module) == 1234


def test_parsed_collectives_are_those_that_jax_asked_for():
  mesh = Mesh(np.array(jax.devices()), ("data",))

  def both(x):
    return jax.lax.psum(x, "data"), jax.lax.all_gather(x, "data")

  run = jax.jit(
    jax.shard_map(
      both, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec(), check_vma=False
    )
  )
  actual = hlo.collectives(hlo.instructions(run.lower(jnp.ones((8, 100))).compile().as_text()))
  assert {kind["kind"]: kind["bytes"] for kind in actual} == {"all-reduce": 400, "all-gather": 3200}


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


def test_roofline_is_the_slower_of_compute_and_memory_then_communication():
  chip = chips.TPUS["v5e"]
  sums = [{"kind": "all-reduce", "count": 2, "bytes": 2e8, "each": [1e8, 1e8]}]
  actual = pod.roofline(chip, (16, 16), 1.97e12, 8.19e8, sums)
  # 10 ms of arithmetic, 1 ms of HBM, and twice 2 · 255/256 · 1e8 / (4 · 50e9) s + 32 µs.
  expected = 2 * (2 * 255 / 256 * 1e8 / 200e9 + 32e-6)
  assert actual["compute_seconds"] == pytest.approx(10e-3)
  assert actual["memory_seconds"] == pytest.approx(1e-3)
  assert actual["communication_seconds"] == pytest.approx(expected)
  assert actual["step_seconds"] == pytest.approx(10e-3 + expected)
  slow = pod.roofline(chip, (16, 16), 1.97e12, 81.9e9, [])
  assert slow["step_seconds"] == pytest.approx(0.1)


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

  most = pod.largest_batch(needed, 8192, None if silent else fixed + each * 512, unit, limit)
  fitting = [batch for batch in range(unit, 8192, unit) if needed(batch)[0]]
  del tried[-len(range(unit, 8192, unit)) :]
  assert most == max(fitting, default=0)
  assert len(tried) <= 12


def test_memory_needed_is_read_from_the_compilers_message():
  message = (
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
    "space hbm. Used 18.50G of 15.75G hbm. Exceeded hbm capacity by 2.75G."
  )
  assert pod.memory_needed(message) == 18.5 * 2**30
  message = (
    "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
    "temporaries (48.00G) exceeds available HBM (15.75G)."
  )
  assert pod.memory_needed(message) == 48 * 2**30
  assert pod.memory_needed("RESOURCE_EXHAUSTED: no figure") is None


def test_efficiency_is_per_chip_and_of_the_smallest_slice():
  rows = [{"chips": 4, "images_per_second": 400.0}, {"chips": 16, "images_per_second": 1200.0}]
  assert [row["efficiency"] for row in pod_scaling.with_efficiency(rows)] == [1.0, 0.75]


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
  place = pod.find_slice("v5e:4x4")
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
  held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)) / 2**20
  assert held < row["memory_mib"]["argument"] < 3 * held + 1
  # Of the generator an autoencoder reaches the decoder; zeros need not travel.
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
