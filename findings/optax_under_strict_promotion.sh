#!/usr/bin/env bash
# optax 0.2.8 with jax 0.10.2: Adam and related optimizers cannot take a step under JAX's strict type
# promotion.
#
# Expected: `jax_numpy_dtype_promotion = "strict"` refuses to mix arrays of different types, so that
# nothing widens unnoticed (https://docs.jax.dev/en/latest/type_promotion.html). Parameters and
# gradients here are float32, and optax.sgd works.
#
# What happens: it is not the user's arrays that are mixed. optax corrects the bias of its means with
# a Python float raised to the int32 count of its steps (optax.tree_utils.tree_bias_correction),
# which JAX refuses. adam, adamw, adabelief, yogi, lamb, nadam, radam, adamax and the cosine schedule
# fail; sgd, rmsprop, adagrad, lion, adafactor and the linear schedule do not. The error names two
# types and no place.
#
# For users: strict promotion is a setting of the whole process, so a library that may run inside
# another program has to leave it (`with jax.numpy_dtype_promotion("standard")`) around the
# optimizer.
#
# Needs Python 3.11 or later (PYTHON=...). Output seen:
#   jax 0.10.2 optax 0.2.8
#   sgd                              works
#   rmsprop                          works
#   adagrad                          works
#   lion                             works
#   adafactor                        works
#   adam                             TypePromotionError
#   adamw                            TypePromotionError
#   adabelief                        TypePromotionError
#   yogi                             TypePromotionError
#   lamb                             TypePromotionError
#   nadam                            TypePromotionError
#   radam                            TypePromotionError
#   adamax                           TypePromotionError
#   linear_schedule                  works
#   cosine_decay_schedule            TypePromotionError
#   adam, standard promotion inside  works
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
import jax.numpy as jnp
import optax

print("jax", jax.__version__, "optax", optax.__version__)
jax.config.update("jax_numpy_dtype_promotion", "strict")
parameters = {"w": jnp.ones(3, jnp.float32)}


def outcome(call):
  try:
    call()
  except Exception as error:
    return type(error).__name__
  return "works"


def step(optimizer):
  state = optimizer.init(parameters)
  return optimizer.update(parameters, state, parameters)


RATES = {"linear_schedule": optax.linear_schedule(1e-3, 0.0, 10),
         "cosine_decay_schedule": optax.cosine_decay_schedule(1e-3, 10)}
WORK = ("sgd", "rmsprop", "adagrad", "lion", "adafactor")
FAIL = ("adam", "adamw", "adabelief", "yogi", "lamb", "nadam", "radam", "adamax")
found = {name: outcome(lambda name=name: step(getattr(optax, name)(1e-3))) for name in WORK + FAIL}
found |= {name: outcome(lambda rate=rate: step(optax.sgd(rate))) for name, rate in RATES.items()}
with jax.numpy_dtype_promotion("standard"):
  found["adam, standard promotion inside"] = outcome(lambda: step(optax.adam(1e-3)))
for name, result in found.items():
  print(f"{name:32} {result}")
fail = {*FAIL, "cosine_decay_schedule"}
for name, result in found.items():
  expected = "TypePromotionError" if name in fail else "works"
  assert result == expected, "the behavior is no longer what is stated"
END
