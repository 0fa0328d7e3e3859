"""The stages of the page's models, run one after the other on a whole image."""

import dataclasses

import jax
import numpy as np
import pytest

import stylejax
from stylejax import PRESETS
from stylejax.deploy import onnx_stages, page, page_trials
from stylejax.deploy.export import parts_of
from stylejax.deploy.functions import FUNCTIONS
from stylejax.errors import InputError


@pytest.mark.parametrize(
  ("config", "size", "noise_gain"),
  [
    (PRESETS["tiny"], (48, 32), 1.0),
    (PRESETS["tiny"], (48, 32), 1.7),
    (dataclasses.replace(PRESETS["tiny"], fold=4, noisy_levels=1), (48, 32), 1.7),
    (PRESETS["base"], (64, 96), 1.0),
  ],
)
def test_stages_are_the_whole(config, size, noise_gain, rng):
  """With the runtime's own convolutions, and with Winograd's where there are many channels."""
  params = jax.jit(stylejax.init_params, static_argnums=1)(jax.random.key(0), config)
  content = rng.random((*size, 3), np.float32)
  code = rng.standard_normal(config.style_dim).astype(np.float32)
  models = onnx_stages.stage_models(parts_of("paint", params), config)
  run = page_trials.runner({name: model.SerializeToString() for name, model in models.items()})
  image = page_trials.paint_whole(run, onnx_stages.plan(config), content, code, noise_gain)
  paint = jax.jit(FUNCTIONS["paint"].call)
  (whole,) = paint(params, content[None], code, np.float32(noise_gain))
  np.testing.assert_allclose(image, whole[0], atol=1e-5)


def test_models_of_other_weights_are_refused(tiny_params):
  """No page is written whose models give other results than the package."""
  files = {f"models/{file}": data for file, data in page._models(tiny_params).items()}
  other = jax.tree.map(lambda leaf: 1.001 * leaf, tiny_params.generator)
  with pytest.raises(InputError, match="found a difference of .* from `paint`"):
    page_trials.check(files, tiny_params.replace(generator=other))


def test_shares_of_the_work_sum_to_one():
  plan = onnx_stages.plan(PRESETS["base"])
  assert plan.encoder_work + sum(stage["work"] for stage in plan.stages) == pytest.approx(1)


def test_nets_with_more_convolutions_at_the_finest_level_are_refused():
  deeper = dataclasses.replace(PRESETS["tiny"], content_blocks=(1, 0))
  params = jax.jit(stylejax.init_params, static_argnums=1)(jax.random.key(0), deeper)
  with pytest.raises(ValueError, match=r"content_blocks: found \(1, 0\), expected 0 at the first"):
    onnx_stages.stage_models(parts_of("paint", params), deeper)


def test_modules_are_joined_in_order():
  files = {
    "a.mjs": b"import {one, two} from './b.mjs';\n\nconst name = one + two();\n",
    "b.mjs": b"export const one = 1;\nexport async function two() {}\nfunction three() {}\n",
  }
  joined = page.bundle(files, "a.mjs")
  assert joined.index("module_b = ") < joined.index("module_a = ")
  assert "const {one, two} = module_b;" in joined
  assert "return {one, two};" in joined
  assert "import" not in joined and "export" not in joined
