"""Programs for absent TPUs: a plan reports what a whole compilation does.

Tests marked tpu compile for TPUs, without one; they need the extra `tpu` and minutes.
"""

import pytest

from benchmarks.tpu import hlo, programs, slices, steps
from stylejax.runtime.jit import OVERLAP_OPTIONS, training_options
from tests.benchmarks.tpu import hlo_checks

BUFFERS = """BufferAssignment:
allocation 0: size 512, thread-local:
 value: <5 or @0> (size=512,offset=0): u16[]{:T(256)}
allocation 1: size 4096, parameter 0, shape |f32[32,32]| at ShapeIndex {}, maybe-live-out:
allocation 2: size 1024, parameter 1, shape |bf16[16,32]| at ShapeIndex {}:
allocation 3: size 64, output shape is |f32[]|, maybe-live-out:
allocation 4: size 16, constant:
allocation 5: size 8, color 2, preallocated-temp:
allocation 6: size 2048, preallocated-temp:
allocation 7: size 8192, color 1, preallocated-temp:
"""


def test_memory_is_read_from_the_compilers_buffers():
  assert programs.memory_of(BUFFERS) == {
    "argument": 4096 + 1024,
    "output": 4096 + 64,
    "alias": 4096,
    "temp": 16 + 2048,
  }


@pytest.mark.tpu
def test_a_plan_says_what_the_whole_compilation_says(tmp_path):
  place = slices.find_slice("v5e:2x2")
  options = steps.StepOptions(command="autoencoder", preset="tiny", size=32, dtype="bfloat16")
  config = steps.step_config(options, place, 32)
  plan, whole = (
    make(config, place, tmp_path) for make in (programs.planned_facts, programs.compiled_facts)
  )
  assert plan["cost"] == whole["cost"]
  modules = [hlo.instructions(facts["text"]) for facts in (plan, whole)]
  for count in (hlo.collectives, hlo.hbm_bytes, hlo.overlapped_share):
    assert count(modules[0]) == count(modules[1])
  types = [sorted(found for _, found in hlo_checks.convolution_types(module)) for module in modules]
  assert types[0] == types[1]
  assert plan["memory"].items() >= {
    (key, whole["memory"][key]) for key in ("argument", "output", "alias")
  }
  # The second time both come from the cache, where they are separate.
  assert len(list(tmp_path.iterdir())) == 2
  again = programs.planned_facts(config, place, tmp_path)
  assert again == plan


@pytest.mark.tpu
def test_a_plan_for_too_little_memory_says_what_it_takes():
  place = slices.find_slice("v5e:2x2")
  options = steps.StepOptions(preset="tiny", size=256, dtype="bfloat16")
  config = steps.step_config(options, place, 2**18)
  with pytest.raises(programs.DoesNotFit) as refused:
    programs.planned_facts(config, place, None)
  assert refused.value.needed > slices.memory_limit(place)


@pytest.mark.tpu
@pytest.mark.parametrize("name", ["v5e:2x2", "v6e:2x2", "tpu7x:2x2x1"])
def test_the_step_of_large_keeps_to_bfloat16_and_to_its_layouts(name):
  place = slices.find_slice(name)
  config = steps.step_config(steps.StepOptions(size=256), place, 16 * place.chips)
  module = hlo.instructions(programs.planned_facts(config, place, None)["text"])
  types = hlo_checks.convolution_types(module)
  assert len(types) > 300
  assert [found for found in types if set(found[1]) != {"bf16"}] == []
  assert hlo_checks.rearranged_share(module) < 0.02


@pytest.mark.tpu
@pytest.mark.parametrize("name", ["v5e:2x2", "v6e:2x2", "tpu7x:2x2x1"])
def test_sums_run_beside_the_backward_pass(name):
  place = slices.find_slice(name)
  device = place.devices[0]
  assert training_options(device) == OVERLAP_OPTIONS.get(device.device_kind, {})
  options = steps.StepOptions(preset="large", size=64, dtype="bfloat16", command="autoencoder")
  row = steps.step_row(options, place, 16 * place.chips)
  assert row["overlapped_share"] > 0.3
  reduced = sum(found["bytes"] for found in row["collectives"])
  assert row["collectives"][0]["kind"] == "all-reduce" and reduced > 1e7
