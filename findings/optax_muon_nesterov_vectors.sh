#!/usr/bin/env bash
# optax 0.2.8: optax.contrib.muon trains biases and other vectors with NAdam, not with AdamW.
#
# Expected: its documentation says that parameters which aren't matrices "are instead passed through
# an AdamW optimizer", and that `nesterov` is "whether to use Nesterov momentum", which reads as
# Muon's own (https://optax.readthedocs.io/en/latest/api/contrib.html#optax.contrib.muon).
#
# What happens: the one `nesterov`, by default True, is Muon's and Adam's. A vector's first step is
# 1.47 times AdamW's (b1 = 0.9), and all of its steps are those of optax.nadamw. With nesterov=False,
# vectors get AdamW's steps, but matrices lose their Nesterov momentum too. There is no setting for
# only one of the two.
#
# For users: a training that goes from AdamW to Muon changes the optimizer of its biases and norms as
# well. To keep theirs, give them to AdamW with optax.partition.
#
# Needs Python 3.11 or later (PYTHON=...). Output seen:
#   jax 0.10.2 optax 0.2.8
#   vector, nesterov=True:  from nadamw 1.8e-07, from adamw 5.1e-01, first step / adamw's 1.474
#   vector, nesterov=False: from nadamw 5.1e-01, from adamw 6.0e-08, first step / adamw's 1.000
#   matrix, nesterov=True from False: 1.0e+00
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 optax==0.2.8
cd "$folder"
venv/bin/python - <<'END'
import os

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import numpy as np
import optax

print("jax", jax.__version__, "optax", optax.__version__)
draw = np.random.default_rng(0).normal
start = {"vector": np.zeros(5, np.float32), "matrix": np.float32(draw(size=(4, 3)))}
gradients = [jax.tree.map(lambda x: np.float32(draw(size=x.shape)), start) for _ in range(5)]


def steps(optimizer):
  """The updates of five steps, by parameter, in units of the step size."""
  state, taken = optimizer.init(start), []
  for gradient in gradients:
    update, state = optimizer.update(gradient, state, start)
    taken.append(update)
  return {name: np.stack([update[name] for update in taken]) for name in start}


def apart(one, other):
  return float(np.abs(one - other).max())


adamw, nadamw = (
  steps(make(1.0, b1=0.9, b2=0.999, weight_decay=0.0))["vector"]
  for make in (optax.adamw, optax.nadamw)
)
muon = {
  nesterov: steps(optax.contrib.muon(1.0, nesterov=nesterov, adam_b1=0.9, adam_b2=0.999))
  for nesterov in (True, False)
}
for nesterov, found in muon.items():
  vector = found["vector"]
  far = apart(vector, nadamw), apart(vector, adamw)
  ratio = float(np.median(vector[0] / adamw[0]))
  name = f"nesterov={nesterov}:"
  print(
    f"vector, {name:15} from nadamw {far[0]:.1e}, from adamw {far[1]:.1e}, "
    f"first step / adamw's {ratio:.3f}"
  )
  same, other = far if nesterov else far[::-1]
  assert same < 1e-5 and other > 0.1, "the behavior is no longer what is stated"
moved = apart(muon[True]["matrix"], muon[False]["matrix"])
print(f"matrix, nesterov=True from False: {moved:.1e}")
assert moved > 0.01, "the behavior is no longer what is stated"
END
