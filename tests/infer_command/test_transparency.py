"""What a file stores under alpha 0 must not be seen in the output: not inside, not at the edge."""

import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 96, 120


def sprite(path, hidden, size=(HEIGHT, WIDTH)):
  """A colored disk with a soft edge; under alpha 0 one color."""
  height, width = size
  rng = np.random.default_rng(0)
  y, x = np.mgrid[:height, :width]
  distance = np.hypot(y - height / 2, x - width / 2)
  alpha = np.clip((0.4 * height - distance) * 64, 0, 255).astype(np.uint8)
  rgb = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
  rgb[alpha == 0] = hidden
  Image.fromarray(np.dstack([rgb, alpha])).save(path, lossless=True, exact=True)
  return path, alpha


@pytest.mark.parametrize(
  "setting",
  [[], ["--tile", "0.01"], ["--size", "64"], ["--preserve-color", "1", "--color-mode", "moments"]],
)
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_hidden_colors_of_the_content(run, style, tmp_path, setting, suffix):
  actual = []
  for name, hidden in (("black", 0), ("white", 255)):
    content, alpha = sprite(tmp_path / f"{name}.{suffix}", hidden)
    status, *_ = run(
      "--content",
      content,
      "--style",
      style,
      "--output",
      tmp_path / f"{name}_out.png",
      "--style-size",
      "64",
      *setting,
    )
    assert status == 0
    actual.append(np.asarray(Image.open(tmp_path / f"{name}_out.png")))
  np.testing.assert_array_equal(*actual)
  if "--size" not in setting:
    np.testing.assert_array_equal(actual[0][..., 3], alpha)


def test_hidden_colors_of_the_style(run, style, tmp_path):
  actual = []
  for name, hidden in (("black", 0), ("white", 255)):
    stylized, _ = sprite(tmp_path / f"{name}.png", hidden)
    assert (
      run("--content", style, "--style", stylized, "--output", tmp_path / f"{name}_out.png")[0] == 0
    )
    actual.append(np.asarray(Image.open(tmp_path / f"{name}_out.png")))
  np.testing.assert_array_equal(*actual)


def test_visible_pixels_are_kept_at_strength_0(run, style, tmp_path):
  content, alpha = sprite(tmp_path / "a.png", 255)
  output = tmp_path / "out.png"
  assert run("--content", content, "--style", style, "--output", output, "--strength", "0")[0] == 0
  visible = alpha > 0
  np.testing.assert_array_equal(
    np.asarray(Image.open(output))[visible], np.asarray(Image.open(content))[visible]
  )


@pytest.mark.parametrize("name, said", [("o.jpg", True), ("o.png", False), ("o.webp", False)])
def test_transparency_that_jpeg_lacks_is_said(run, style, tmp_path, name, said):
  content, _ = sprite(tmp_path / "a.png", 255)
  status, _, error = run("--content", content, "--style", style, "--output", tmp_path / name)
  assert status == 0
  assert error.count(f"note: {content}: its transparency is laid on white: JPEG has none\n") == said


def test_an_image_without_a_visible_pixel_is_stylized(run, style, tmp_path):
  Image.new("RGBA", (40, 40)).save(tmp_path / "a.png")
  output = tmp_path / "out.png"
  assert run("--content", tmp_path / "a.png", "--style", style, "--output", output)[0] == 0
  assert np.asarray(Image.open(output))[..., 3].max() == 0
