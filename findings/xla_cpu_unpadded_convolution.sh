#!/usr/bin/env bash
# jaxlib 0.10.2 on CPUs: a 3×3 convolution without padding takes several times as long as the same
# with padding, which computes more. (With jax 0.12.0.1 both take as long.)
#
# Expected: padding="VALID" computes two rows and columns less than padding="SAME" and takes a
# little less time.
#
# What happens: by default XLA hands convolutions to YNNPACK. For 64 channels to 96, of 130×130
# pixels, VALID then takes about five times as long as SAME; for 64 to 48, over three times; for 64
# to 64, 1.3 times. With xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_REDUCE, which
# leaves convolutions to XLA's older kernels, VALID and SAME take as long.
#
# Source: https://docs.jax.dev/en/latest/_autosummary/jax.lax.conv_general_dilated.html says nothing
# of what a kind of padding costs.
#
# For users of Python 3.11, which newer jax has left: SAME with its border cut off gives the pixels
# of VALID sooner.
#
# Needs Python 3.11 or later (PYTHON=...). Checked is that VALID takes over twice as long as SAME by
# default for 64 channels to 96, and less than 1.5 times with the option. Output seen, on two cores
# of an AMD EPYC (milliseconds, medians of 20 alternating calls):
#   64 to 48, default: VALID 35.2, SAME 9.3
#   64 to 48, older kernels: VALID 5.5, SAME 5.6
#   64 to 64, default: VALID 8.3, SAME 6.3
#   64 to 64, older kernels: VALID 7.0, SAME 7.3
#   64 to 96, default: VALID 60.6, SAME 12.5
#   64 to 96, older kernels: VALID 9.6, SAME 9.9
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$folder"
JAX_PLATFORMS=cpu venv/bin/python - <<'END'
import statistics
import time

import jax
import numpy as np

OLDER = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}
WAYS = {"default": {}, "older kernels": OLDER}
numbers = np.random.default_rng(0)


def compiled(features, padding, options):
  x = jax.device_put(numbers.random((1, 130, 130, 64), np.float32))
  kernel = jax.device_put(numbers.random((3, 3, 64, features), np.float32))

  def convolve(x, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=layout)

  program = jax.jit(convolve, compiler_options=options).lower(x, kernel).compile()
  return lambda: jax.block_until_ready(program(x, kernel))


ratios = {}
for features in (48, 64, 96):
  calls = {
    (way, padding): compiled(features, padding, options)
    for way, options in WAYS.items()
    for padding in ("VALID", "SAME")
  }
  seconds = {name: [] for name in calls}
  for _ in range(22):
    for name, call in calls.items():
      begun = time.perf_counter()
      call()
      seconds[name].append(time.perf_counter() - begun)
  medians = {name: 1e3 * statistics.median(times[2:]) for name, times in seconds.items()}
  for way in WAYS:
    valid, same = medians[way, "VALID"], medians[way, "SAME"]
    ratios[features, way] = valid / same
    print(f"64 to {features}, {way}: VALID {valid:.1f}, SAME {same:.1f}")
assert ratios[96, "default"] > 2, ratios
assert ratios[96, "older kernels"] < 1.5, ratios
END
