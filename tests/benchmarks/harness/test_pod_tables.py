"""Tables of pods: what each line says, the note that it is computed, and tables of old results."""

import json
from pathlib import Path

from benchmarks.harness.pod_tables import POD_TABLES, recommended_table

ROOT = Path(__file__).parents[3]
VERSIONS = {"jax": "0.10.2", "libtpu": "0.0.42.1"}
STEP = {
  "case": "transfer step",
  "topology": "v5e:16x16",
  "slices": 2,
  "chips": 512,
  "preset": "large",
  "size": 256,
  "batch": 8192,
  "batch_per_chip": 16,
  "dtype": "bfloat16",
  "remat": False,
  "accumulate": 1,
  "gflop_per_chip": 8000.0,
  "hbm_gb_per_chip": 24.0,
  "memory_mib": {"peak": 5000.0},
  "memory_limit_mib": 16128.0,
  "memory_share": 0.31,
  "collectives": [
    {"between": "devices", "kind": "reduce-scatter", "bytes": 234e6},
    {"between": "slices", "kind": "all-reduce", "bytes": 1e6},
  ],
  "roofline": {
    "compute_seconds": 0.040,
    "memory_seconds": 0.030,
    "within_slices_seconds": 0.0025,
    "between_slices_seconds": 0.0003,
    "communication_seconds": 0.0028,
    "step_seconds": 0.0428,
  },
  "communication_share": 0.065,
  "overlapped_share": 0.67,
  "peak_share": 0.93,
  "images_per_second": 191_000.0,
  "efficiency": 0.99,
}


def drawn(name, **result):
  return POD_TABLES[name](
    {
      "benchmark": name,
      "command": f"python -m benchmarks {name}",
      "versions": VERSIONS,
      "date": "2026-11-29T00:00:00Z",
      "left_out": [],
      **result,
    }
  )


def test_slices_show_what_goes_within_and_between_them_and_how_they_scale():
  lines = drawn("pod", rows=[STEP]).splitlines()
  assert lines[2] == (
    "| 2 × v5e:16x16 | 512 | 8192 | 8.00 | 24.00 | 5,000 (31%) | 234; 1.0 | "
    "42.80: 40.00, 30.00; 2.50, 0.30 | 6.5% | 67% | 93% | 191,000 | 0.990 |"
  )
  assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
  assert lines[-1].startswith("**Computed by the compiler and a roofline, not measured**")


def test_recommended_batches_have_what_one_slice_sends_and_what_several_keep():
  one = STEP | {"slices": 1, "chips": 256, "communication_share": 0.02, "efficiency": 1.0}
  other = one | {"topology": "v6e:16x16", "images_per_second": 256_000.0}
  rows = [
    one,
    STEP,
    STEP | {"slices": 4, "efficiency": 0.95},
    other,
    other | {"slices": 2, "efficiency": 0.9},
  ]
  slower = [row | {"images_per_second": 1000.0, "batch_per_chip": 8} for row in rows[:2]]
  results = [{"rows": slower}, {"rows": rows[:3]}, {"rows": [*rows[3:], *slower]}]
  lines = recommended_table(results).splitlines()
  assert lines[2:-2] == [
    "| v5e:16x16 | 16 | 1 | 93% | 2.0% | 746 | 2 | 0.990 |",
    "| v5e:16x16 | 16 | 1 | 93% | 2.0% | 746 | 4 | 0.950 |",
    "| v6e:16x16 | 16 | 1 | 93% | 2.0% | 1,000 | 2 | 0.900 |",
  ]
  assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
  assert "not measured" in lines[-1]


def test_search_names_what_does_not_fit():
  too_large = {key: STEP[key] for key in ("topology", "slices", "case", "memory_limit_mib")}
  too_large |= {"batch_per_chip": 64, "remat": True, "accumulate": 2, "needed_mib": 20_000.0}
  table = drawn("pod_search", rows=[STEP, too_large])
  assert "| 16 | no | 1 | 191,000 | 93% | 6% | 5,000 (31%) |" in table
  assert "| 64 | yes | 2 | doesn't fit |  |  | 20,000 of 16,128 |" in table
  assert "not measured" in table


def test_boxes_of_gpus_are_computed_and_devices_measured():
  box = STEP | {
    "topology": "h100:8",
    "gflop_per_device": 8000.0,
    "memory_mib": 1450.0,
    "convolutions": [{"types": "bf16, bf16", "layout": "NHWC", "count": 329}],
  }
  table = drawn("pod_gpu", rows=[box])
  assert "329 of bf16, bf16 in NHWC" in table and "not measured" in table
  assert "libtpu" not in table
  number = {"what": "image", "precision": "highest", "difference": 1e-6, "tolerance": 3e-4}
  timed = {"case": "stylize", "images_per_second": 10.0, "seconds": {"median": 0.1}}
  table = drawn(
    "device_check",
    device="NVIDIA H200",
    numbers=[number | {"holds": False}],
    rows=[timed | {"mfu": 0.25, "compile_seconds": 20.0}],
    left_out=["neighbors: no time was left"],
    peak_device_mib=1000.0,
  )
  assert "| image | highest | 1.0e-06 | 3.0e-04 | **no** |" in table
  assert "| stylize | 10 | 100 | 25% |  | 20 |" in table
  assert "Left out: neighbors: no time was left." in table
  assert "**Measured** on NVIDIA H200, at most 1,000 MiB" in table


def test_results_that_are_kept_can_be_drawn():
  for path in (ROOT / "docs" / "results").glob("pod*.json"):
    result = json.loads(path.read_text())
    assert "not measured" in POD_TABLES[result["benchmark"]](result), path.name
