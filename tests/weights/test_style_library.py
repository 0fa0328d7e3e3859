"""The style library: what is read back, what is refused, and the contact sheet."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stylejax import transfer
from stylejax.errors import InputError
from stylejax.images import thumbnail
from stylejax.images.decode import DecodedImage
from stylejax.weights import style_library
from stylejax.weights.model_file import load_pretrained


@pytest.fixture
def codes(tiny_params, rng):
  """Codes of random numbers: no net is needed to store them."""
  shapes = jax.eval_shape(transfer.encode_style, tiny_params, np.zeros((20, 20, 3), np.float32))
  return [
    jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes) for _ in range(3)
  ]


@pytest.fixture
def saved(codes):
  return {name: style_library.SavedStyle(code, f"{name}.jpg") for name, code in zip("cab", codes)}


@pytest.fixture
def path(tmp_path, saved, tiny_params):
  return style_library.write_library(tmp_path / "l.safetensors", saved, tiny_params)


def test_what_is_written_comes_back_in_order(path, saved, tiny_params):
  actual = style_library.read_library(path, tiny_params)
  assert list(actual) == ["c", "a", "b"]
  for name, style in saved.items():
    assert actual[name].origin == style.origin
    jax.tree.map(np.testing.assert_array_equal, actual[name].code, style.code)
  style_library.write_library(path, {}, tiny_params)
  assert style_library.read_library(path, tiny_params) == {}


def test_images_are_kept_and_are_passed_over_by_who_does_not_know_them(path, saved, tiny_params):
  """Version 0.1's list of styles has two keys per entry; it ignores further keys."""
  rgb = np.random.default_rng(0).random((30, 40, 3)).astype(np.float32)
  rgb = np.repeat(np.repeat(rgb[::10, ::10], 10, 0), 10, 1)
  image = thumbnail.to_thumbnail(DecodedImage(rgb, None, "RGB"))
  saved["a"] = dataclasses.replace(saved["a"], image=image)
  style_library.write_library(path, saved, tiny_params)
  actual = style_library.read_library(path, tiny_params)
  assert [style.image for style in actual.values()] == [None, image, None]
  decoded = thumbnail.from_thumbnail(actual["a"].image, "@a").rgb
  assert decoded.shape == (30, 32, 3)  # as styles are cropped
  assert np.abs(decoded[5::10, 6::10] - rgb[5::10, 10:36:10]).mean() < 0.05
  with pytest.raises(InputError, match="@a: found a damaged image"):
    thumbnail.from_thumbnail(image[:50], "@a")
  changed(path, styles=json.dumps([{"name": n, "origin": "", "image": "?"} for n in "abc"]))
  with pytest.raises(InputError, match="don't match"):
    style_library.read_library(path, tiny_params)


def test_more_images_than_a_library_holds(path, saved, tiny_params, monkeypatch):
  monkeypatch.setattr(style_library, "_MAX_LIST", 1_000)
  saved["a"] = dataclasses.replace(saved["a"], image=bytes(2_000))
  with pytest.raises(InputError, match="found 3 styles with"):
    style_library.write_library(path, saved, tiny_params)


def test_other_weights_are_refused_and_another_generator_is_not(path, tiny_params):
  style_library.read_library(path, tiny_params.replace(generator=None))
  other = jax.tree.map(lambda x: x + 1e-3, tiny_params.style_encoder)
  with pytest.raises(InputError, match="found styles read with other weights"):
    style_library.read_library(path, tiny_params.replace(style_encoder=other))


def test_styles_read_with_weights_of_the_package_say_with_which(path, saved, tiny_params):
  before = load_pretrained("base-1")
  code = jax.jit(transfer.encode_style)(before, np.zeros((32, 32, 3), np.float32))
  styles = {"a": dataclasses.replace(saved["a"], code=jax.tree.map(np.asarray, code))}
  style_library.write_library(path, styles, before)
  with pytest.raises(
    InputError, match="read with base-1, .* --library for each, or --weights base-1"
  ):
    style_library.read_library(path, tiny_params)


def changed(path, arrays=lambda a: a, **metadata):
  from safetensors import safe_open

  with safe_open(path, framework="np") as file:
    before = file.metadata()
  save_file(arrays(load_file(path)), path, metadata=before | metadata)


@pytest.mark.parametrize(
  "damage",
  [
    lambda p: p.write_bytes(b"\x80\x04}."),  # a pickle
    lambda p: p.write_bytes(p.read_bytes()[:-5]),
    lambda p: p.write_bytes(b""),
    lambda p: p.unlink(),
    lambda p: save_file({"vector": np.zeros(3, np.float32)}, p),
    lambda p: changed(p, stylejax_library="2"),
    lambda p: changed(p, styles="[]"),
    lambda p: changed(p, styles="{"),
    lambda p: changed(p, styles="[" * 100_000),
    lambda p: changed(p, styles=json.dumps([{"name": "a", "origin": ""}] * 3)),
    lambda p: changed(p, styles=json.dumps([{"name": n, "origin": 1} for n in "abc"])),
    lambda p: changed(p, styles=json.dumps([{"name": n} for n in "abc"])),
    lambda p: changed(p, lambda a: a | {"more": a["vector"]}),
    lambda p: changed(p, lambda a: a | {"vector": a["vector"][:, :-1].copy()}),
    lambda p: changed(p, lambda a: a | {"mean0": a["std1"]}),
    lambda p: changed(p, lambda a: a | {"vector": a["vector"] * np.float32(np.nan)}),
    lambda p: changed(p, lambda a: a | {"vector": a["vector"].astype(np.float16)}),
    lambda p: changed(p, lambda a: {"x": a.pop("vector"), **a}),
  ],
)
def test_damaged_libraries_are_refused(path, tiny_params, damage):
  damage(path)
  with pytest.raises(InputError, match="^library .*l.safetensors: found .*, expected"):
    style_library.read_library(path, tiny_params)


@pytest.mark.parametrize("name", ["", "a b", "a:1", "a/b", "@a", "a\n", "x" * 65])
def test_names_that_are_refused(tmp_path, saved, tiny_params, name):
  with pytest.raises(InputError, match="style name"):
    style_library.write_library(tmp_path / "l.safetensors", {name: saved["a"]}, tiny_params)
  assert not list(tmp_path.iterdir())


def test_an_unknown_name_says_what_there_is(saved):
  assert style_library.find("a", saved, "l") is saved["a"]
  with pytest.raises(InputError, match="@x: found no such style in l, expected one of c, a, b"):
    style_library.find("x", saved, "l")


def test_nearest_is_by_the_vector(saved):
  vectors = {name: style.code.vector for name, style in saved.items()}
  probe = saved["a"].code.replace(vector=0.9 * vectors["a"] + 0.1 * vectors["b"])
  actual = dict(style_library.nearest(probe, saved))
  assert next(iter(actual)) == "a" and list(actual.values()) == sorted(actual.values())
  mean = np.mean([np.linalg.norm(vectors[x] - vectors[y]) for x, y in ("ab", "bc", "ca")])
  np.testing.assert_allclose(
    actual["c"], np.linalg.norm(probe.vector - vectors["c"]) / mean, rtol=1e-5
  )
  assert (
    style_library.nearest(probe, {"a": saved["a"]})[0][0] == "a"
    and style_library.nearest(probe, {}) == []
  )


def test_the_sheet_is_every_style_on_every_photo(tiny_params, codes, rng):
  photos = rng.random((2, 16, 16, 3), np.float32)
  actual = jax.jit(style_library.contact_sheet, static_argnames="at_once")(
    tiny_params, photos, style_library.stack(codes), at_once=2
  )
  assert actual.shape == (3, 2, 16, 16, 3)
  generate = jax.jit(
    lambda photo, code: transfer.generate(
      tiny_params, transfer.encode_content(tiny_params, photo), code
    )
  )
  for style, photo in ((0, 1), (2, 0)):
    np.testing.assert_allclose(
      actual[style, photo], generate(photos[photo], codes[style]), atol=2e-5
    )
