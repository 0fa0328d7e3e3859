"""Boxes of GPUs without a GPU: names, parsing of cuDNN calls, and a step compiled for one.

Tests marked gpu compile for an H100; they need the extra `gpu-compile`.
"""

import jax
import pytest

from benchmarks.tpu import gpus, hlo, steps
from stylejax.errors import InputError
from stylejax.training.state import init_state

MODULE = """HloModule jit_step, is_scheduled=true

ENTRY %main (x: bf16[2,16,16,8], k: f32[16,3,3,8]) -> bf16[2,8,8,16] {
  %x = bf16[2,16,16,8]{3,2,1,0} parameter(0)
  %k = bf16[16,3,3,8]{3,2,1,0} parameter(1)
  %w = f32[16,3,3,8]{3,2,1,0} parameter(2)
  %c = (bf16[2,8,8,16]{3,2,1,0}, u8[0]{0}) custom-call(%x, %k), window={size=3x3 stride=2x2}, dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convForward"
  %d = (f32[2,16,8,8]{3,2,1,0}, u8[0]{0}) custom-call(%x, %w), window={size=3x3}, dim_labels=b01f_o01i->bf01, custom_call_target="__cudnn$convBackwardInput"
  ROOT %y = bf16[2,8,8,16]{3,2,1,0} get-tuple-element(%c), index=0
}
"""  # noqa: E501


def test_convolutions_of_cudnn_show_their_types_and_layouts():
  assert gpus.convolutions(hlo.instructions(MODULE)) == [
    {"types": "bf16, bf16", "layout": "NHWC"},
    {"types": "bf16, f32", "layout": "b01f_o01i->bf01"},
  ]


@pytest.mark.parametrize("name", ["h100", "h100:0", "h100:9", "h100:2x2"])
def test_unknown_boxes_are_refused(name):
  assert gpus.is_box(name)
  with pytest.raises(InputError, match="--topology: found .*, expected one of h100 and 1 to 8"):
    gpus.find_box(name)


def test_missing_packages_are_named(monkeypatch):
  monkeypatch.setattr(gpus, "_installed", lambda package: False)
  with pytest.raises(InputError, match="jax_cuda12_plugin: found none, expected it for compiling"):
    gpus.find_box("h100:8")


@pytest.mark.gpu
@pytest.mark.parametrize("command", ["autoencoder", "transfer"])
def test_step_for_eight_gpus_keeps_to_bfloat16_and_nhwc(command):
  options = steps.StepOptions(command=command, preset="tiny", size=32, dtype="bfloat16")
  row = gpus.step_row(options, gpus.find_box("h100:8"), 32)
  assert row["devices"] == 8
  (kind,) = row["convolutions"]
  assert (kind["types"], kind["layout"]) == ("bf16, bf16", "NHWC")
  assert kind["count"] >= 20
  # Gradients are summed in float32: at least four bytes per parameter.
  config = steps.train_config(options, 32)
  state = jax.eval_shape(lambda: init_state(config))
  held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state)) / 2**20
  assert {found["kind"] for found in row["collectives"]} == {"all-reduce"}
  assert held < row["memory_mib"]
  assert row["gflop_per_device"] > 0
