#!/usr/bin/env bash
# jaxlib 0.10.2 and 0.12.0.1 on CPUs: the mean of an image's luma takes over ten times as long as the
# luma itself, and the mean difference of two images' lumas some twenty times as long.
#
# Expected: the mean of a map takes little longer than the map, since adding up 512×512 numbers
# that are in memory takes 0.3 ms at most.
#
# What happens: XLA computes what is averaged within the reduction, which it has rewritten as
# windows with padding, value by value. As two vector products with 1/512 in every place, which
# can't be fused, the same mean takes little longer than the map.
#
# Source: https://docs.jax.dev/en/latest/_autosummary/jax.numpy.mean.html says nothing of it; XLA's
# tree_reduction_rewriter.h says that a reduction becomes a reduce-window, for parallelism and
# precision.
#
# For users: on CPUs, average a map that is computed from slices by vector products.
#
# Needs Python 3.12 or later (PYTHON=...). Checked is that the mean takes over three times as long as
# the products, in both versions. Output seen, on two cores of an AMD EPYC (milliseconds, medians of
# 20 alternating calls):
#   0.10.2, luma: map 0.17, mean 2.83, products 0.29
#   0.10.2, difference of lumas: map 0.30, mean 8.24, products 0.64
#   0.12.0.1, luma: map 0.14, mean 2.51, products 0.23
#   0.12.0.1, difference of lumas: map 0.38, mean 7.38, products 0.68
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > measure.py <<'END'
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

SIDE = 512
numbers = np.random.default_rng(0)
images = [jax.device_put(numbers.random((SIDE, SIDE, 3), np.float32)) for _ in range(2)]
share = jax.device_put(np.full(SIDE, 1 / SIDE, np.float32))


def luma(image, other):
  return 0.299 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]


def difference(image, other):
  return jnp.abs(luma(image, None) - luma(other, None))


for name, computed in (("luma", luma), ("difference of lumas", difference)):
  programs = {
    "map": jax.jit(lambda a, b: computed(a, b)),
    "mean": jax.jit(lambda a, b: computed(a, b).mean()),
    "products": jax.jit(lambda a, b: share @ computed(a, b) @ share),
  }
  seconds = {way: [] for way in programs}
  for _ in range(22):
    for way, program in programs.items():
      begun = time.perf_counter()
      jax.block_until_ready(program(*images))
      seconds[way].append(time.perf_counter() - begun)
  medians = {way: 1e3 * statistics.median(times[2:]) for way, times in seconds.items()}
  figures = ", ".join(f"{way} {median:.2f}" for way, median in medians.items())
  print(f"{jax.__version__}, {name}: {figures}")
  np.testing.assert_allclose(programs["mean"](*images), programs["products"](*images), rtol=1e-4)
  assert medians["mean"] > 3 * medians["products"], medians
END
for version in 0.10.2 0.12.0.1; do
  "${PYTHON:-python3}" -m venv "$version"
  "$version/bin/pip" install --quiet --disable-pip-version-check \
    "jax==$version" "jaxlib==$version" numpy==2.4.6
  JAX_PLATFORMS=cpu "$version/bin/python" measure.py
done
