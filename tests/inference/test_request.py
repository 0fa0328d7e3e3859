"""What --style, --mask and --interpolate mean, without any net."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylejax.errors import InputError
from stylejax.inference.request import ControlMaps, plan_mixes, plan_regions


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "many").mkdir()
  for name in ("a.jpg", "b.jpg", "c:0.5", "d=e.png", "many/x.png", "many/y.png"):
    Path(name).write_bytes(b"x")


def summary(mixes):
  return [
    (mix.name, [source.name for source in mix.sources], mix.mixtures.tolist()) for mix in mixes
  ]


@pytest.mark.parametrize(
  "styles, settings, expected",
  [
    (["a.jpg", "b.jpg"], {}, [("a", ["a"], [[1]]), ("b", ["b"], [[1]])]),
    (
      ["many", "@saved", "./many/y.png", "@saved"],
      {},
      [("x", ["x"], [[1]]), ("y", ["y"], [[1]]), ("saved", ["saved"], [[1]])],
    ),
    (["a.jpg:3", "@saved:1"], {}, [("a+saved", ["a", "saved"], [[0.75, 0.25]])]),
    (["a.jpg:1", "a.jpg:1"], {}, [("a+a", ["a", "a"], [[0.5, 0.5]])]),
    (["c:0.5"], {}, [("c:0", ["c:0"], [[1]])]),
    (["a.jpg"], {"seed": 3}, [("a", ["a"], [[1]]), ("seed3", ["seed3"], [[1]])]),
    (["a.jpg", "b.jpg"], {"steps": 3}, [("a-b", ["a", "b"], [[1, 0], [0.5, 0.5], [0, 1]])]),
    (["a.jpg", "b.jpg", "@c"], {"steps": 2}, [("a-b-c", ["a", "b", "c"], [[1, 0, 0], [0, 0, 1]])]),
  ],
)
def test_mixes(styles, settings, expected):
  assert summary(plan_mixes(styles, **settings)) == expected


@pytest.mark.parametrize(
  "styles, settings, message",
  [
    (["a.jpg:0.5", "b.jpg"], {}, "found no weight after b.jpg, expected one after each or none"),
    (["a.jpg:-1"], {}, "the weight -1 of a.jpg, expected a number from 0"),
    (["a.jpg:nan"], {}, "the weight nan"),
    (["a.jpg:0", "b.jpg:0"], {}, "weights that are all 0"),
    (["a.jpg:many"], {}, "found no file or folder a.jpg:many"),
    (["many:0.5"], {}, "found the folder many, expected an image"),
    (["a.jpg:1"], {"seed": 1}, "--seed: found it with styles that have weights"),
    (["a.jpg"], {"steps": 3}, "--interpolate: found 1 in --style, expected two"),
    (["a.jpg:1", "b.jpg:1"], {"steps": 3}, "--interpolate: found weights"),
    ([], {}, "--style: found nothing"),
  ],
)
def test_mixes_that_are_refused(styles, settings, message):
  with pytest.raises(InputError, match=message):
    plan_mixes(styles, **settings)


def test_regions():
  actual = plan_regions(["a.jpg=b.jpg", "d=e.png=@saved"])
  assert [(str(r.mask), r.source.name, r.source.path) for r in actual] == [
    ("a.jpg", "b", Path("b.jpg")),
    ("d=e.png", "saved", None),
  ]
  assert summary(plan_mixes([], regions=actual)) == [("b+saved", [], [[]])]


@pytest.mark.parametrize(
  "mask, message",
  [
    ("a.jpg", "found a.jpg, expected MASK=STYLE"),
    ("=a.jpg", "expected MASK=STYLE"),
    ("a.jpg=", "expected MASK=STYLE"),
    ("no.png=a.jpg", "--mask: found no file or folder no.png"),
    ("a.jpg=no.png", "--mask: found no file or folder no.png"),
    ("many=a.jpg", "found the folder many"),
    ("a.jpg=many", "found the folder many"),
  ],
)
def test_regions_that_are_refused(mask, message):
  with pytest.raises(InputError, match=message):
    plan_regions([mask])


class TestControlMaps:
  @pytest.fixture
  def controls(self):
    left, top = np.zeros((16, 20), np.uint8), np.zeros((16, 20), np.uint8)
    left[:, :10], top[:8] = 255, 255
    Image.fromarray(left).save("left.png")
    Image.fromarray(top).save("top.png")
    regions = plan_regions(["left.png=@l", "top.png=@t"])

    def read(masks, strength_map=None):
      return ControlMaps.read(regions[:masks], 1.5, strength_map and Path(strength_map))

    return read

  def test_without_maps_there_are_none(self, controls):
    weights, strength = controls(0).at(np.ones(1, np.float32), (16, 20))
    assert weights is None and strength == np.float32(1.5) and strength.ndim == 0
    mix = np.float32([0.3, 0.7])
    assert controls(0).at(mix, (16, 20))[0] is mix

  def test_masks_lie_on_the_mixture(self, controls):
    weights, strength = controls(2).at(np.float32([0.3, 0.7]), (16, 20))
    corners = weights[:, [0, 0, -1, -1], [0, -1, 0, -1]].T
    np.testing.assert_allclose(
      corners, [[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 1, 0], [0.3, 0.7, 0, 0]], atol=1e-6
    )
    assert strength == np.float32(1.5)

  def test_outside_of_masks_alone_nothing_is_stylized(self, controls):
    for strength_map, expected in ((None, [1.5, 1.5, 1.5, 0]), ("top.png", [1.5, 1.5, 0, 0])):
      weights, strength = controls(2, strength_map).at(np.zeros(0, np.float32), (16, 20))
      assert weights.shape == (2, 16, 20)
      np.testing.assert_allclose(strength[[0, 0, -1, -1], [0, -1, 0, -1]], expected, atol=1e-6)

  def test_maps_are_scaled_with_the_image(self, controls):
    weights, strength = controls(1, "top.png").at(np.ones(1, np.float32), (32, 40))
    assert weights.shape == (2, 32, 40) and strength.shape == (32, 40)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(strength[[0, -1], 0], [1.5, 0], atol=1e-6)

  def test_another_size_is_refused(self, controls):
    actual = controls(1, "top.png")
    actual.check_size(Path("photo.png"), 16, 20)
    with pytest.raises(InputError, match="left.png: found 20×16 pixels, expected 16×20 as in p"):
      actual.check_size(Path("p.png"), 20, 16)
