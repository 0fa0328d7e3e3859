"""The text of compiled modules is parsed correctly: what is sent, moved, convolved and repeated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from benchmarks.tpu import hlo
from tests.benchmarks.tpu import hlo_checks

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


SLICES = """HloModule jit_step, is_scheduled=true

ENTRY %main (x: bf16[8,16,16,128], w: f32[64,128]) -> f32[64,128] {
  %x = bf16[8,16,16,128]{3,2,1,0:T(8,128)(2,1)} parameter(0)
  %w = f32[64,128]{1,0:T(8,128)} parameter(1)
  %part = f32[16,128]{1,0:T(8,128)} reduce-scatter(%w), channel_id=3, replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}, to_apply=%add
  %token = token[] after-all()
  %send = (f32[16,128]{1,0:T(8,128)}, u32[], token[]) send(%part, %token), channel_id=12, is_host_transfer=true, frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime",_xla_host_transfer_rendezvous="all-reduce.34_0",_xla_megascale_target="{1,2}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %recv = (f32[16,128]{1,0:T(8,128)}, u32[], token[]) recv(%token), channel_id=11, is_host_transfer=true, frontend_attributes={_xla_host_transfer_rendezvous="all-reduce.34_0",_xla_megascale_transfer_type="ALL_REDUCE"}
  %y = bf16[8,16,16,128]{3,2,1,0:T(8,128)(2,1)S(1)} fusion(%x), kind=kOutput, calls=%conv
  %sent = token[] send-done(%send), channel_id=12, is_host_transfer=true
  %received = (f32[16,128]{1,0:T(8,128)}, token[]) recv-done(%recv), channel_id=11, is_host_transfer=true
  %sum = f32[16,128]{1,0:T(8,128)} get-tuple-element(%received), index=0
  ROOT %all = f32[64,128]{1,0:T(8,128)} all-gather(%sum), channel_id=4, replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}
}
"""  # noqa: E501
WHOLE, PART = 4 * 64 * 128, 4 * 16 * 128


def test_sums_between_slices_are_those_that_hosts_send():
  assert hlo.collectives(hlo.instructions(SLICES)) == [
    {"between": "devices", "kind": "reduce-scatter", "count": 1, "bytes": WHOLE, "each": [WHOLE]},
    {"between": "slices", "kind": "all-reduce", "count": 1, "bytes": PART, "each": [PART]},
    {"between": "devices", "kind": "all-gather", "count": 1, "bytes": WHOLE, "each": [WHOLE]},
  ]


def test_what_is_sent_beside_a_convolution_is_overlapped():
  # One of reduce-scatter, send and all-gather, by the bytes of their results.
  module = hlo.instructions(SLICES)
  assert hlo.overlapped_share(module) == pytest.approx(PART / (PART + PART + WHOLE))
  without = hlo.instructions(SLICES.replace("kind=kOutput", "kind=kLoop"))
  assert hlo.overlapped_share(without) == 0


CALL = """HloModule jit_step, is_scheduled=true

%called (p: f32[64,128]) -> f32[64,128] {
  %p = f32[64,128]{1,0:T(8,128)} parameter(0)
  ROOT %all-reduce.7 = f32[64,128]{1,0:T(8,128)} all-reduce(%p), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add
}

ENTRY %main (w: f32[64,128]) -> f32[64,128] {
  %w = f32[64,128]{1,0:T(8,128)} parameter(0)
  %all-reduce.7.call-start = ((f32[64,128]{1,0:T(8,128)}), f32[64,128]{1,0:T(8,128)}) call-start(%w), to_apply=%called
  %c = bf16[8,16,16,128]{3,2,1,0:T(8,128)(2,1)S(1)} convolution(%w, %w), window={size=1x1}, dim_labels=b01f_01io->b01f
  ROOT %all-reduce.7.call-done = f32[64,128]{1,0:T(8,128)} call-done(%all-reduce.7.call-start)
}
"""  # noqa: E501


def test_a_collective_that_is_called_counts_once():
  module = hlo.instructions(CALL)
  assert hlo.collectives(module) == [
    {"between": "devices", "kind": "all-reduce", "count": 1, "bytes": WHOLE, "each": [WHOLE]}
  ]
  # Read and written by the call, and read twice by the convolution.
  assert hlo.hbm_bytes(module) == 2 * WHOLE + 2 * WHOLE
  assert hlo.overlapped_share(module) == 1


LOOP = """HloModule jit_step, is_scheduled=true

%body (s: (s32[], f32[64,128])) -> (s32[], f32[64,128]) {
  %s = (s32[], f32[64,128]{1,0:T(8,128)}) parameter(0)
  %v = f32[64,128]{1,0:T(8,128)} get-tuple-element(%s), index=1
  %f = f32[64,128]{1,0:T(8,128)} fusion(%v), kind=kLoop, calls=%fused, backend_config={"window_config":{"estimated_cycles":"10"}}
  ROOT %t = (s32[], f32[64,128]{1,0:T(8,128)}) tuple(%s, %f)
}

ENTRY %main (w: f32[64,128]) -> (s32[], f32[64,128]) {
  %w = f32[64,128]{1,0:T(8,128)} parameter(0)
  %n = s32[]{:T(128)S(6)} constant(0)
  %start = (s32[], f32[64,128]{1,0:T(8,128)}) tuple(%n, %w)
  ROOT %loop = (s32[], f32[64,128]{1,0:T(8,128)}) while(%start), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"4"}}
}
"""  # noqa: E501


def test_what_a_loop_repeats_counts_as_often():
  module = hlo.instructions(LOOP)
  assert hlo.hbm_bytes(module) == 4 * 2 * WHOLE
  assert hlo.estimated_cycles(module) == 40
  unsaid = LOOP.replace("known_trip_count", "no")
  assert hlo.hbm_bytes(hlo.instructions(unsaid)) == 2 * WHOLE
  # A plan doesn't say it either, except in the condition.
  planned = unsaid.replace(
    "%body (s:",
    """%cond (t: (s32[], f32[64,128])) -> pred[] {
  %three = s32[]{:T(128)} constant(3), metadata={op_name="jit(step)"}
  %t = (s32[], f32[64,128]{1,0:T(8,128)}) parameter(0)
  %turn = s32[]{:T(128)} get-tuple-element(%t), index=0
  ROOT %lt = pred[]{:T(512)} compare(%turn, %three), direction=LT
}

%body (s:""",
  )
  assert hlo.hbm_bytes(hlo.instructions(planned)) == 3 * 2 * WHOLE


PARTS = """HloModule jit_step, is_scheduled=true

%start (p: f32[64,128]) -> (f32[64,128], f32[64,128], u32[]) {
  %p = f32[64,128]{1,0:T(8,128)} parameter(0)
  %all-reduce.1 = f32[64,128]{1,0:T(8,128)} all-reduce(%p), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add, frontend_attributes={chain_id="0"}
  ROOT %s = (f32[64,128]{1,0:T(8,128)}, f32[64,128]{1,0:T(8,128)}, u32[]{:S(2)}) custom-call(%all-reduce.1), custom_call_target="AsyncCollectiveStart"
}

%beside (q: f32[64,128], r: f32[64,128], u: u32[], x: bf16[8,16]) -> (f32[8,16], f32[64,128], f32[64,128], u32[]) {
  %q = f32[64,128]{1,0:T(8,128)} parameter(0)
  %r = f32[64,128]{1,0:T(8,128)} parameter(1)
  %u = u32[]{:S(2)} parameter(2)
  %x = bf16[8,16]{1,0:T(8,128)} parameter(3)
  %all-reduce.2 = f32[64,128]{1,0:T(8,128)} all-reduce(%q), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add, frontend_attributes={chain_id="0"}
  %c = f32[8,16]{1,0:T(8,128)} convolution(%x, %x), window={size=1x1}, dim_labels=b01f_01io->b01f
  ROOT %both = (f32[8,16]{1,0:T(8,128)}, f32[64,128]{1,0:T(8,128)}, f32[64,128]{1,0:T(8,128)}, u32[]{:S(2)}) tuple(%c, %q, %all-reduce.2, %u)
}

%done (d: f32[64,128], e: f32[64,128], f: u32[]) -> f32[64,128] {
  %d = f32[64,128]{1,0:T(8,128)} parameter(0)
  %e = f32[64,128]{1,0:T(8,128)} parameter(1)
  %f = u32[]{:S(2)} parameter(2)
  %all-reduce.3 = f32[64,128]{1,0:T(8,128)} all-reduce(%d), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add, frontend_attributes={chain_id="0"}
  ROOT %w = f32[64,128]{1,0:T(8,128)} custom-call(%d, %e, %all-reduce.3, %f), custom_call_target="AsyncCollectiveDone"
}

ENTRY %main (g: f32[64,128], h: bf16[8,16], last: f32[64,128]) -> f32[64,128] {
  %g = f32[64,128]{1,0:T(8,128)} parameter(0)
  %h = bf16[8,16]{1,0:T(8,128)S(1)} parameter(1)
  %last = f32[64,128]{1,0:T(8,128)S(1)} parameter(2)
  %begun = (f32[64,128]{1,0:T(8,128)}, f32[64,128]{1,0:T(8,128)}, u32[]{:S(2)}) fusion(%g), kind=kCustom, output_to_operand_aliasing={{0}: (0, {})}, calls=%start
  %g0 = f32[64,128]{1,0:T(8,128)} get-tuple-element(%begun), index=0
  %g1 = f32[64,128]{1,0:T(8,128)} get-tuple-element(%begun), index=1
  %g2 = u32[]{:S(2)} get-tuple-element(%begun), index=2
  %going = (f32[8,16]{1,0:T(8,128)S(1)}, f32[64,128]{1,0:T(8,128)}, f32[64,128]{1,0:T(8,128)}, u32[]{:S(2)}) fusion(%g0, %g1, %g2, %h), kind=kOutput, output_to_operand_aliasing={{1}: (0, {}), {2}: (1, {}), {3}: (2, {})}, calls=%beside
  %b0 = f32[64,128]{1,0:T(8,128)} get-tuple-element(%going), index=1
  %b1 = f32[64,128]{1,0:T(8,128)} get-tuple-element(%going), index=2
  %b2 = u32[]{:S(2)} get-tuple-element(%going), index=3
  %summed = f32[64,128]{1,0:T(8,128)} fusion(%b0, %b1, %b2), kind=kCustom, output_to_operand_aliasing={{}: (1, {})}, calls=%done
  ROOT %all-reduce.4 = f32[64,128]{1,0:T(8,128)S(1)} all-reduce(%last), channel_id=1, replica_groups={{0,1,2,3}}, to_apply=%add
}
"""  # noqa: E501


def test_a_sum_that_convolutions_carry_counts_once():
  module = hlo.instructions(PARTS)
  assert hlo.collectives(module) == [
    {
      "between": "devices",
      "kind": "all-reduce",
      "count": 2,
      "bytes": 2 * WHOLE,
      "each": [WHOLE, WHOLE],
    }
  ]
  # The second runs without arithmetic beside it, and in faster memory.
  assert hlo.overlapped_share(module) == 0.5
  # Its array is written by the start and read by the end; between them it is only passed on.
  assert hlo.hbm_bytes(module) == 2 * WHOLE
