"""Weights files: what is written is read back, and no wrong file is accepted."""

import json
import os

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import stylejax
from stylejax.errors import InputError
from stylejax.weights import model_file as weights_module
from stylejax.weights.model_file import load_pretrained, load_weights, save_weights
from stylejax.weights.perceptual import load_vgg
from stylejax.weights.style_library import read_library

CONFIG = stylejax.PRESETS["tiny"]
SHAPES = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), CONFIG))


def random_params(seed=0):
  generator = np.random.default_rng(seed)
  return jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), SHAPES)


@pytest.fixture(scope="module")
def params():
  return random_params()


def assert_same(actual, expected, **tolerance):
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
    assert isinstance(a, jax.Array) and a.dtype == np.float32
    np.testing.assert_allclose(a, b, **tolerance)


def test_float32_is_exact(params, tmp_path):
  path = save_weights(tmp_path / "w.safetensors", params, dtype="float32")
  assert_same(load_weights(path), params, rtol=0)


def test_float16_is_the_default_and_half_the_bytes(params, tmp_path):
  path = save_weights(tmp_path / "w.safetensors", params)
  assert_same(load_weights(path), params, rtol=2**-11, atol=2**-25)
  assert {array.dtype for array in load_file(path).values()} == {np.dtype(np.float16)}
  count = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert 2 * count < path.stat().st_size < 2 * count + 10_000


def test_names_in_the_file_are_paths_of_the_tree(params, tmp_path):
  path = save_weights(tmp_path / "w.safetensors", params, dtype="float32")
  arrays = load_file(path)
  for name, array in arrays.items():
    part, *keys = name.split("/")
    node = getattr(params, part)
    for key in keys:
      node = node[key]
    np.testing.assert_array_equal(node, array)
  assert len(arrays) == len(jax.tree.leaves(params))


def test_metadata(params, tmp_path):
  path = save_weights(tmp_path / "w.safetensors", params, metadata={"steps": 12, "data": "none"})
  with safe_open(path, framework="np") as file:
    notes = file.metadata()
  assert (notes["steps"], notes["data"], notes["stylejax_format"]) == ("12", "none", "1")
  assert json.loads(notes["stylejax_config"]) == CONFIG.to_dict()
  assert load_weights(path).config == CONFIG


@pytest.mark.parametrize("part", weights_module.PARTS)
def test_absent_parts_are_none(params, tmp_path, part):
  path = save_weights(tmp_path / "w.safetensors", params.replace(**{part: None}))
  actual = load_weights(path)
  assert [name for name in weights_module.PARTS if getattr(actual, name) is None] == [part]


def test_loaded_params_run(params, tmp_path):
  actual = load_pretrained(save_weights(tmp_path / "w.safetensors", params))
  output = jax.jit(stylejax.stylize)(
    actual, np.full((16, 18, 3), 0.5, np.float32), np.full((16, 16, 3), 0.2, np.float32)
  )
  assert output.shape == (16, 18, 3)
  assert np.isfinite(output).all()


def test_a_file_is_replaced_whole(params, tmp_path):
  path = tmp_path / "w.safetensors"
  path.write_bytes(b"old")
  save_weights(path, params)
  assert os.listdir(tmp_path) == ["w.safetensors"]
  load_weights(path)


class TestPackaged:
  """The packaged names, on a package folder made for the test."""

  @pytest.fixture
  def folder(self, tmp_path, monkeypatch):
    monkeypatch.setattr(weights_module.resources, "files", lambda package: tmp_path)
    (tmp_path / "assets" / "weights").mkdir(parents=True)
    return tmp_path / "assets" / "weights"

  def test_noise_generator_is_merged_when_its_file_is_there(self, folder, params):
    other = random_params(1)
    save_weights(folder / "base.safetensors", params.replace(noise_generator=None), dtype="float32")
    assert load_pretrained().noise_generator is None
    # The discriminator of the second file must not replace the first one's.
    save_weights(
      folder / "base-noise.safetensors",
      other.replace(generator=None, style_encoder=None, content_encoder=None),
      dtype="float32",
    )
    assert_same(
      load_pretrained("base"), params.replace(noise_generator=other.noise_generator), rtol=0
    )

  def test_configs_must_agree(self, folder, params):
    import dataclasses

    save_weights(folder / "base.safetensors", params.replace(noise_generator=None))
    config = dataclasses.replace(CONFIG, name="other")
    save_weights(
      folder / "base-noise.safetensors",
      params.replace(
        config=config, generator=None, style_encoder=None, content_encoder=None, discriminator=None
      ),
    )
    with pytest.raises(InputError, match="a different model config"):
      load_pretrained()

  def test_missing_file(self, folder):
    with pytest.raises(InputError, match="base.*found no file.*expected"):
      load_pretrained()

  def test_unknown_name(self):
    with pytest.raises(InputError, match="weights bse: found neither.*'base'"):
      load_pretrained("bse")


class TestSaveRefuses:
  @pytest.mark.parametrize("value", [np.nan, np.inf, 1e5])
  def test_numbers_that_float16_cannot_hold(self, params, tmp_path, value):
    first = jax.tree.leaves(params)[0]
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, value) if leaf is first else leaf, params)
    with pytest.raises(InputError, match="weights .*/.*: found NaN, infinity or values beyond"):
      save_weights(tmp_path / "w.safetensors", broken)
    assert os.listdir(tmp_path) == []

  def test_no_parts(self, params, tmp_path):
    empty = params.replace(**dict.fromkeys(weights_module.PARTS))
    with pytest.raises(InputError, match="found no part"):
      save_weights(tmp_path / "w.safetensors", empty)

  @pytest.mark.parametrize(
    "name, words",
    [
      ("w.bin", "found extension '.bin', expected .safetensors"),
      ("no/w.safetensors", "found no such folder"),
    ],
  )
  def test_names(self, params, tmp_path, name, words):
    with pytest.raises(InputError, match=words):
      save_weights(tmp_path / name, params)

  def test_dtypes(self, params, tmp_path):
    with pytest.raises(InputError, match="found 'bfloat16', expected float16 or float32"):
      save_weights(tmp_path / "w.safetensors", params, dtype="bfloat16")


def _config(metadata, **fields):
  metadata["stylejax_config"] = json.dumps(CONFIG.to_dict() | fields)


NAME = "generator/modulation_0/bias"
SPOILED = {
  "other shape": (
    lambda a, m: a.update({NAME: np.zeros(3, np.float16)}),
    f"shape \\(3,\\) for {NAME}",
  ),
  "array missing": (lambda a, m: a.pop(NAME), f"found no array {NAME}"),
  "array too many": (lambda a, m: a.update({"generator/x": a[NAME]}), "found array generator/x"),
  "unknown part": (lambda a, m: a.update({"decoder/x": a[NAME]}), "found part 'decoder'"),
  "float64": (lambda a, m: a.update({NAME: a[NAME].astype(np.float64)}), f"found F64 in {NAME}"),
  "integers": (lambda a, m: a.update({NAME: a[NAME].astype(np.int8)}), f"found I8 in {NAME}"),
  "NaN": (
    lambda a, m: a.update({NAME: a[NAME] * np.float16(np.nan)}),
    f"NaN or infinity in {NAME}",
  ),
  "no arrays": (lambda a, m: a.clear(), "found no arrays"),
  "no config": (lambda a, m: m.pop("stylejax_config"), "without stylejax's config"),
  "no format": (lambda a, m: m.pop("stylejax_format"), "without stylejax's config"),
  "later format": (lambda a, m: m.update(stylejax_format="2"), "format version '2', expected '1'"),
  "config no JSON": (lambda a, m: m.update(stylejax_config="{"), "config that can't be read"),
  "config a list": (lambda a, m: m.update(stylejax_config="[1]"), "config that can't be read"),
  "config nested": (lambda a, m: m.update(stylejax_config="[" * 100_000), "can't be read"),
  "unknown field": (lambda a, m: _config(m, depth=3), "unknown field 'depth'"),
  "other model": (lambda a, m: _config(m, style_dim=17), "found shape"),
  "too many layers": (lambda a, m: _config(m, decoder_blocks=1000), "layers, expected at most"),
  "a huge number": (lambda a, m: _config(m, style_dim=10**400), "style_dim: found a number above"),
  # 2**30 pixels of padding on either side of any image.
  "absurd padding": (
    lambda a, m: _config(m, content_widths=[1] * 30, content_blocks=[0] * 30),
    "content_widths: found 30 halvings, expected at most 7",
  ),
  "absurd padding of styles": (
    lambda a, m: _config(m, style_widths=[1] * 10**5),
    "style_widths: found 100000 halvings, expected at most 7",
  ),
  "absurd scales": (lambda a, m: _config(m, disc_scales=100), "disc_widths and disc_scales: found"),
  "absurd samples": (lambda a, m: _config(m, noise_stages=8), "noise_stages: found 8, expected"),
  # 60 layers of 9 · 512² on a quarter of the pixels are 3.54e7; the others are about 1e5.
  "absurd work": (
    lambda a, m: _config(m, content_widths=[512, 16], content_blocks=[60, 0]),
    "found 3.6e\\+07 multiply-adds per pixel, expected at most 1e\\+07",
  ),
  "no width": (lambda a, m: _config(m, style_widths=[0, 0]), "w.safetensors: found"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_spoiled_files_are_refused_in_one_line(params, tmp_path, case):
  change, words = SPOILED[case]
  path = save_weights(tmp_path / "w.safetensors", params)
  arrays = load_file(path)
  with safe_open(path, framework="np") as file:
    metadata = file.metadata()
  change(arrays, metadata)
  save_file(arrays, path, metadata)
  with pytest.raises(InputError, match=words) as error:
    load_pretrained(path)
  assert "\n" not in str(error.value) and ", expected " in str(error.value)


@pytest.mark.parametrize(
  "shape",
  [[0, 2**62], [2**40, 0, 2**40], [1] * 100, [2**63, 2**63], [2**62, 4], [2**64], [-1]],
  ids=str,
)
def test_shapes_that_no_array_has_are_refused_by_every_reader(shape, tmp_path, tiny_params):
  """An empty array with a side of 2^62 passes safetensors 0.5's check, but NumPy raises."""
  path = tmp_path / "w.safetensors"
  header = json.dumps(
    {
      "__metadata__": {"stylejax_format": "1", "stylejax_config": json.dumps(CONFIG.to_dict())},
      NAME: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0 if 0 in shape else 4]},
    }
  ).encode()
  path.write_bytes(len(header).to_bytes(8, "little") + header + (b"" if 0 in shape else bytes(4)))
  for read in (load_weights, load_vgg, lambda path: read_library(path, tiny_params)):
    with pytest.raises(InputError) as caught:
      read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.fixture(scope="module")
def good_bytes(params, tmp_path_factory):
  path = tmp_path_factory.mktemp("good") / "w.safetensors"
  return save_weights(path, params.replace(noise_generator=None)).read_bytes()


@settings(
  max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_cut_or_damaged_bytes_give_params_or_an_input_error(good_bytes, tmp_path, data):
  content = bytearray(good_bytes)
  header = 8 + int.from_bytes(content[:8], "little")
  if data.draw(st.booleans(), "cut"):
    del content[data.draw(st.integers(0, len(content) - 1), "length") :]
  else:
    # Mostly in the header, where a byte matters more than in a weight.
    for _ in range(data.draw(st.integers(1, 4))):
      content[data.draw(st.integers(0, header))] = data.draw(st.integers(0, 255))
  path = tmp_path / "w.safetensors"
  path.write_bytes(content)
  try:
    actual = load_weights(path)
  except InputError as error:
    assert "\n" not in str(error)
  else:
    assert isinstance(actual, stylejax.Params)


@settings(
  max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
def test_any_other_bytes_are_refused(tmp_path, content):
  path = tmp_path / "w.safetensors"
  path.write_bytes(content)
  with pytest.raises(InputError):
    load_weights(path)
