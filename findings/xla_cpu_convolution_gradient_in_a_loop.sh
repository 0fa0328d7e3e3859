#!/usr/bin/env bash
# jax 0.12.0.1 on a CPU (0.10.2 too): the gradient of a convolution takes tens of times longer inside
# a loop or a condition than outside.
#
# Expected: `jax.lax.fori_loop`, `scan` and `cond` run the same code as a program without them; an
# epoch in a `scan`, or a batch that is accumulated in parts, costs what its steps cost.
#
# What happens: the gradient with respect to the kernel of a 3×3 convolution, 64 channels on 8 maps
# of 64×64, takes 30 to 50 ms of CPU time, but 2,400 to 3,600 ms as the body of a loop that runs once,
# or under a condition that is true. The gradient with respect to the input of a small convolution
# becomes slower by a factor of 20. The forward convolution and matrix products don't change.
#
# For users: on a CPU, a training loop inside `scan` is not a gain but a loss of an order of
# magnitude. Write the steps out, or call a jitted step from Python.
#
# jax-ml/jax#12868 reports the same for channel-first convolutions; these are channel-last, which it
# says are not affected.
#
# Needs Python 3.12 or later (PYTHON=...). What is checked is that both ratios are above 8.
# Output seen, on a machine that was busy with other things:
#   jax 0.12.0.1
#   by the kernel: 53 ms, in a loop 3566 ms, under a condition 3200 ms
#   by the input: 1.8 ms, in a loop 32.3 ms
#   forward: 24.0 ms, in a loop 23.9 ms
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.12.0.1 jaxlib==0.12.0.1
cd "$folder"
venv/bin/python - <<'END'
import os
import time

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp

print("jax", jax.__version__)


def convolve(x, kernel):
  numbers = ("NHWC", "HWIO", "NHWC")
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)


def by_kernel(x, kernel):
  return jax.grad(lambda kernel: jnp.square(convolve(x, kernel)).sum())(kernel)


def by_input(x, kernel):
  return jax.grad(lambda x: jnp.square(convolve(x, kernel)).sum())(x)


def in_a_loop(function):
  def loop(x, kernel):
    start = jnp.zeros_like(function(x, kernel))
    return jax.lax.fori_loop(0, 1, lambda _, total: total + function(x, kernel), start)

  return loop


def under_a_condition(function):
  def conditional(x, kernel):
    other = jnp.zeros_like(function(x, kernel))
    return jax.lax.cond(x[0, 0, 0, 0] < 2, lambda: function(x, kernel), lambda: other)

  return conditional


def milliseconds(function, x, kernel):
  """CPU time of a call: the least of five."""
  function = jax.jit(function)
  function(x, kernel).block_until_ready()
  times = []
  for _ in range(5):
    start = time.process_time()
    function(x, kernel).block_until_ready()
    times.append(1e3 * (time.process_time() - start))
  return min(times)


def some(batch, side, channels):
  keys = jax.random.split(jax.random.key(0))
  return (
    jax.random.uniform(keys[0], (batch, side, side, channels)),
    jax.random.uniform(keys[1], (3, 3, channels, channels)),
  )


large, small = some(8, 64, 64), some(4, 32, 32)
beside, inside = milliseconds(by_kernel, *large), milliseconds(in_a_loop(by_kernel), *large)
conditional = milliseconds(under_a_condition(by_kernel), *large)
print(f"by the kernel: {beside:.0f} ms, in a loop {inside:.0f} ms, under a condition {conditional:.0f} ms")
ratios = [inside / beside, conditional / beside]
beside, inside = milliseconds(by_input, *small), milliseconds(in_a_loop(by_input), *small)
print(f"by the input: {beside:.1f} ms, in a loop {inside:.1f} ms")
ratios.append(inside / beside)
beside, inside = milliseconds(convolve, *large), milliseconds(in_a_loop(convolve), *large)
print(f"forward: {beside:.1f} ms, in a loop {inside:.1f} ms")
assert min(ratios) > 8 and inside / beside < 4, "the behavior is no longer what is stated"
END
