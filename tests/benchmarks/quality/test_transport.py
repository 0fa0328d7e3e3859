"""Maps of features to another distribution, and the rows that move them."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from PIL import Image

from benchmarks.harness.tables import transport_table
from benchmarks.quality import efficientnet, transport, transport_rows
from benchmarks.quality.transport_maps import RIDGE, covariance_map, sliced_map
from benchmarks.quality.transport_rows import OURS, ROWS
from stylejax import transfer
from stylejax.errors import InputError


@pytest.fixture
def maps(rng):
  """Two feature maps of correlated channels, of different sizes, far from normal."""
  mixing = rng.normal(size=(2, 5, 5))
  features = rng.gamma(2.0, size=(1, 12, 9, 5)) @ mixing[0] + 3.0
  target = rng.gamma(0.7, size=(1, 7, 11, 5)) @ mixing[1] - 1.0
  return features.astype(np.float32), target.astype(np.float32)


def _ridged(features):
  covariance = np.cov(features.reshape(-1, features.shape[-1]).T.astype(np.float64), bias=True)
  return covariance + (RIDGE * np.trace(covariance) / len(covariance) + 1e-6) * np.eye(
    len(covariance)
  )


class TestCovarianceMap:
  def test_is_the_linear_monge_map(self, maps):
    features, target = maps
    covariance, target_covariance = map(_ridged, maps)
    root = scipy.linalg.sqrtm(covariance).real
    inverse = np.linalg.inv(root)
    matrix = inverse @ scipy.linalg.sqrtm(root @ target_covariance @ root).real @ inverse
    places = features.reshape(-1, 5) - features.reshape(-1, 5).mean(0)
    expected = places @ matrix.T + target.reshape(-1, 5).mean(0)
    moved = covariance_map(*maps)
    assert moved.shape == features.shape
    np.testing.assert_allclose(moved.reshape(-1, 5), expected, rtol=0, atol=2e-3)

  def test_mean_and_covariance_become_the_targets(self, maps):
    moved = np.asarray(covariance_map(*maps)).reshape(-1, 5)
    target = maps[1].reshape(-1, 5)
    np.testing.assert_allclose(moved.mean(0), target.mean(0), atol=1e-4)
    scale = np.abs(np.cov(target.T)).max()
    np.testing.assert_allclose(
      np.cov(moved.T, bias=True) / scale, np.cov(target.T, bias=True) / scale, atol=0.01
    )

  def test_channels_that_are_0_do_no_harm(self, maps):
    features, target = (np.array(x) for x in maps)
    features[..., 1], target[..., 3] = 0.0, 0.0
    assert np.isfinite(covariance_map(features, target)).all()


class TestSlicedMap:
  def test_one_channel_becomes_a_permutation_of_the_target(self, rng):
    features = rng.normal(size=(1, 6, 7, 1)).astype(np.float32)
    target = rng.gamma(1.0, size=(1, 7, 6, 1)).astype(np.float32)
    moved = sliced_map(features, target, jax.random.key(0), rotations=1).reshape(-1)
    order = np.argsort(features.reshape(-1))
    # A rotation of one axis may be -1, which reverses the order twice.
    np.testing.assert_allclose(moved[order], np.sort(target.reshape(-1)), atol=1e-5)

  def test_more_rotations_bring_distributions_nearer(self, maps, rng):
    features, target = maps
    directions = rng.normal(size=(50, 5))

    def distance(moved):
      return np.mean(
        [
          scipy.stats.wasserstein_distance(moved.reshape(-1, 5) @ d, target.reshape(-1, 5) @ d)
          for d in directions
        ]
      )

    distances = [distance(features)] + [
      distance(np.asarray(sliced_map(features, target, jax.random.key(1), rotations=n)))
      for n in (1, 4, 16)
    ]
    assert distances == sorted(distances, reverse=True)
    # A map of moments stays further away: these distributions are far from normal.
    assert distances[-1] < 0.5 * distance(np.asarray(covariance_map(*maps)))

  def test_equal_distributions_stay(self, maps):
    features = maps[0]
    moved = sliced_map(features, features[:, ::-1], jax.random.key(0), rotations=3)
    np.testing.assert_allclose(moved, features, atol=1e-4)


@pytest.mark.parametrize("name", ["covariance", "sliced4"])
def test_maps_are_pure(maps, name):
  features, target = maps
  key = jax.random.key(3)
  eager = transport_rows.MAPS[name](features, target, key)
  np.testing.assert_allclose(
    jax.jit(transport_rows.MAPS[name])(features, target, key), eager, rtol=1e-3, atol=1e-3
  )
  many = jax.vmap(transport_rows.MAPS[name], in_axes=(0, None, None))(
    jnp.stack([features, features + 1.0]), target, key
  )
  np.testing.assert_allclose(many[0], eager, rtol=1e-3, atol=1e-3)
  slope = jax.grad(lambda t: jnp.square(transport_rows.MAPS[name](features, t, key)).mean())(
    jnp.asarray(target)
  )
  assert np.isfinite(slope).all() and np.abs(slope).max() > 0


@pytest.fixture
def inputs(rng, tiny_params):
  content, style = (jnp.asarray(rng.random((1, 24, 32, 3), np.float32)) for _ in range(2))
  return content, style, transfer.encode_style(tiny_params, style).vector


def _stylize(params, inputs, where, share, how="covariance"):
  key = jax.random.key(0)
  return np.asarray(transport_rows.stylize(params, *inputs, key, where=where, how=how, share=share))


@pytest.mark.parametrize(
  "where, kept",
  [
    ("code", "generated"),
    ("coarsest", "generated"),
    ("before", "generated"),
    ("after", "generated"),
    ("pixels", "generated"),
    ("decoder", "reconstructed"),
    ("output", "generated, then reconstructed"),
  ],
)
def test_features_move_as_far_as_they_shall(tiny_params, inputs, where, kept):
  content, style, vector = inputs
  output = transfer.stylize(tiny_params, content, style)
  expected = {
    "generated": output,
    "reconstructed": transfer.reconstruct(tiny_params, content),
    "generated, then reconstructed": transfer.reconstruct(tiny_params, output),
  }[kept]
  nothing, all_the_way = (_stylize(tiny_params, inputs, where, share) for share in (0.0, 1.0))
  np.testing.assert_allclose(nothing, expected, atol=1e-5)
  assert np.abs(all_the_way - nothing).max() > 1e-3
  if where in ("code", "coarsest", "before", "after", "decoder"):
    # A content that already has the style's distributions does not move.
    own = (style, style, vector)
    moved, still = (_stylize(tiny_params, own, where, share) for share in (1.0, 0.0))
    np.testing.assert_allclose(moved, still, atol=2e-3)


def test_every_row_is_tested_above():
  assert {row.where for row in ROWS.values()} == {
    "nowhere",
    "code",
    "coarsest",
    "before",
    "after",
    "pixels",
    "decoder",
    "output",
  }
  assert {row.map for row in ROWS.values()} <= transport_rows.MAPS.keys()


def test_differences_are_paired(rng):
  base = rng.random(6)
  rows = {
    name: {
      "content_lite0": base + add,
      "patch_half": 1.0 - base * share,
      "patch_half_floor": base * 0,
    }
    for name, add, share in (
      (transport.IDENTITY, 0.0, 0.0),
      (OURS, 1.0, 0.5),
      ("code: covariance", 1.25, 0.5),
    )
  }
  found = transport.compare(rows)
  assert list(found) == [OURS, "code: covariance"]
  difference = found["code: covariance"]["content_lite0"]["difference"]
  np.testing.assert_allclose([*difference.values()], 0.25)
  assert found[OURS]["patch_half_way"]["mean"] == pytest.approx(0.5 * base.mean())


def _pooled(images):
  """Stands for EfficientNet-lite0: means of squares, and an edge."""
  features = {}
  for i, name in enumerate((*efficientnet.NAMES, efficientnet.BLOCK)):
    side = images.shape[1] // 2 ** min(i + 1, 4)
    step = images.shape[1] // side
    pooled = images.reshape(1, side, step, side, step, 3).mean((2, 4))
    features[name] = np.concatenate([pooled, np.roll(pooled, 1, 1) - pooled], -1)
  return features


def test_command(tmp_path, rng, tiny_params, monkeypatch, capsys):
  for name, size in (("content", (70, 90, 3)), ("style", (64, 80, 3))):
    Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(tmp_path / f"{name}.png")
  (tmp_path / "pairs.csv").write_text("a,content.png,style.png\nb,style.png,content.png\n")
  options = transport.Options(
    tmp_path / "pairs.csv",
    root=tmp_path,
    every=1,
    rows=(OURS, "colors of the output: covariance"),
    shuffled=tmp_path / "sheets",
    sheet=tmp_path / "sheet.png",
    cache=tmp_path / "cache",
    output=tmp_path / "transport.json",
  )
  monkeypatch.setattr(efficientnet, "load", lambda: _pooled)
  monkeypatch.setattr(transport, "load_pretrained", lambda weights: tiny_params)
  monkeypatch.setattr(sys, "argv", ["transport"])
  transport.main(options)
  result = json.loads((tmp_path / "transport.json").read_text())
  assert result["pairs"] == ["a", "b"] and list(result["rows"]) == list(options.rows)
  ours, colors = (result["rows"][name]["columns"] for name in options.rows)
  assert not any(ours["style_lite0"]["difference"].values())
  # Afterwards, colors of these two images differ from the style's by little more than rounding.
  assert colors["color"]["mean"] < 0.5 * ours["color"]["mean"]
  printed = capsys.readouterr().out
  assert printed.strip() == transport_table(result)
  assert (tmp_path / "sheets" / "a.png").exists() and (tmp_path / "sheet.png").exists()

  def never(*_, **__):
    raise AssertionError("stylized although it is in the cache")

  monkeypatch.setattr(transport, "stylize", never)
  transport.main(options)
  assert capsys.readouterr().out == printed


def test_without_the_net_there_is_no_table(tmp_path, monkeypatch):
  monkeypatch.setattr(efficientnet, "load", lambda: None)
  with pytest.raises(InputError, match="EfficientNet-lite0: not installed"):
    transport.main(transport.Options(tmp_path / "pairs.csv"))


@pytest.mark.parametrize("rows", [("code: covariance",), (OURS, "code")])
def test_rows_that_there_are_not(tmp_path, rows):
  with pytest.raises(InputError, match="--rows"):
    transport.Options(tmp_path, rows=rows).check()
