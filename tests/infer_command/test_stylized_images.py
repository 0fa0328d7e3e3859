"""infer.py on every image mode, on odd sizes, and on folders."""

import os

import jax
import numpy as np
import pytest
from infer_cases import HEIGHT, WIDTH, save, stylized
from PIL import Image

import stylejax
from stylejax.images.alpha import fill_invisible

MODES = {
  "RGB": ("RGB", "png", {}, "RGB"),
  "RGBA": ("RGBA", "png", {}, "RGBA"),
  "L": ("L", "png", {}, "RGB"),
  "LA": ("LA", "png", {}, "RGBA"),
  "P": ("P", "png", {}, "RGB"),
  "P with transparency": ("P", "png", {"transparency": 3}, "RGBA"),
  "1": ("1", "png", {}, "RGB"),
  "I;16": ("I;16", "png", {}, "RGB"),
  "JPEG": ("RGB", "jpg", {}, "RGB"),
  "gray JPEG": ("L", "jpg", {}, "RGB"),
  "CMYK JPEG": ("CMYK", "jpg", {}, "RGB"),
  "WebP": ("RGBA", "webp", {"lossless": True, "exact": True}, "RGBA"),
  "TIFF": ("RGB", "tif", {}, "RGB"),
  "BMP": ("RGB", "bmp", {}, "RGB"),
  "GIF": ("P", "gif", {}, "RGB"),
}


@pytest.mark.parametrize("case", MODES)
def test_every_image_mode(run, params, style, tmp_path, case):
  mode, extension, settings, expected_mode = MODES[case]
  content = save(tmp_path / f"content.{extension}", mode, **settings)
  output = tmp_path / "out.png"
  status, out, err = run(
    "--content", content, "--style", style, "--output", output, "--style-size", "64"
  )
  assert (status, err) == (0, "")
  assert str(output) in out
  actual, source = Image.open(output), Image.open(content)
  assert (actual.mode, actual.size) == (expected_mode, (WIDTH, HEIGHT))
  if mode == "I;16":
    rgb = np.repeat(np.asarray(source)[..., None] / 257, 3, -1)
  else:
    rgb = source.convert("RGB")
  if expected_mode == "RGBA":
    alpha = np.asarray(source.convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(np.asarray(actual)[..., 3], alpha)
    assert alpha.min() < 255
    # The net sees the colors of visible neighbors where nothing is visible.
    rgb = fill_invisible(np.asarray(rgb), np.float32(alpha) / 255)
  np.testing.assert_allclose(
    np.float32(actual.convert("RGB")), stylized(params, rgb, style), atol=0.6
  )


@pytest.mark.parametrize("extension", ["png", "jpg", "jpeg", "webp", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_every_output_format(run, params, style, tmp_path, mode, extension):
  content = save(tmp_path / "content.png", mode)
  output = tmp_path / f"out.{extension}"
  status, _, err = run(
    "--content",
    content,
    "--style",
    style,
    "--output",
    output,
    "--style-size",
    "64",
    "--quality",
    "100",
  )
  lost = mode == "RGBA" and extension.startswith("jp")
  note = f"note: {content}: its transparency is laid on white: JPEG has none\n"
  assert (status, err) == (0, note if lost else "")
  actual, source = Image.open(output), Image.open(content)
  expected_format = {"png": "PNG", "webp": "WEBP"}.get(extension.lower(), "JPEG")
  assert (actual.format, actual.size) == (expected_format, (WIDTH, HEIGHT))
  rgb = np.asarray(source.convert("RGB"))
  if mode == "RGBA":
    rgb = fill_invisible(rgb, np.float32(source)[..., 3] / 255)
  expected = stylized(params, rgb, style)
  jpeg = expected_format == "JPEG"
  if mode == "RGBA" and jpeg:
    alpha = np.float32(source)[..., 3:] / 255
    expected = expected * alpha + 255 * (1 - alpha)
  elif mode == "RGBA":
    np.testing.assert_array_equal(np.asarray(actual)[..., 3], np.asarray(source)[..., 3])
  else:
    assert actual.mode == "RGB"
  np.testing.assert_allclose(np.float32(actual.convert("RGB")), expected, atol=12 if jpeg else 0.6)


def test_exif_orientation_is_applied(run, params, style, tmp_path):
  exif = Image.Exif()
  exif[274] = 6  # held so that it must be turned by 90 degrees clockwise
  content = save(tmp_path / "content.png", exif=exif)
  output = tmp_path / "out.png"
  assert (
    run("--content", content, "--style", style, "--output", output, "--style-size", "64")[0] == 0
  )
  upright = Image.open(content).convert("RGB").transpose(Image.Transpose.ROTATE_270)
  actual = Image.open(output)
  assert actual.size == (HEIGHT, WIDTH)
  assert actual.getexif().get(274, 1) == 1
  np.testing.assert_allclose(np.float32(actual), stylized(params, upright, style), atol=0.6)


@pytest.mark.parametrize("size", [(16, 16), (16, 51), (63, 33)])
def test_odd_sizes_stay(run, style, tmp_path, size):
  content = save(tmp_path / "content.png", size=size)
  output = tmp_path / "out.png"
  assert run("--content", content, "--style", style, "--output", output)[0] == 0
  assert Image.open(output).size == size


@pytest.mark.parametrize("strength", [0, 0.25, 2])
def test_strength(run, params, style, tmp_path, strength):
  content = save(tmp_path / "content.png")
  output = tmp_path / "out.png"
  assert (
    run(
      "--content",
      content,
      "--style",
      style,
      "--output",
      output,
      "--style-size",
      "64",
      "--strength",
      strength,
    )[0]
    == 0
  )
  expected = stylized(params, Image.open(content), style, strength)
  np.testing.assert_allclose(np.float32(Image.open(output)), expected, atol=0.6)


def test_size_scales_the_shorter_side_of_the_output(run, style, tmp_path):
  content = save(tmp_path / "content.png", "RGBA", size=(80, 40))
  output = tmp_path / "out.png"
  assert run("--content", content, "--style", style, "--output", output, "--size", "20")[0] == 0
  actual = Image.open(output)
  assert (actual.mode, actual.size) == ("RGBA", (40, 20))


def test_style_size_changes_the_image(run, style, tmp_path):
  content = save(tmp_path / "content.png")
  for name, side in (("a.png", 32), ("b.png", 64)):
    assert (
      run(
        "--content", content, "--style", style, "--output", tmp_path / name, "--style-size", side
      )[0]
      == 0
    )
  a, b = (np.int16(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
  assert np.abs(a - b).max() > 0


def test_seed_invents_a_style(run, params, tmp_path):
  content = save(tmp_path / "content.png")
  for seed in (3, 4):
    assert run("--content", content, "--seed", seed, "--output", tmp_path / f"{seed}.png")[0] == 0
  image = np.float32(Image.open(content)) / 255
  expected = jax.jit(
    lambda params: stylejax.generate(
      params,
      stylejax.encode_content(params, image),
      stylejax.sample_style(params, jax.random.key(3)),
    )
  )(params)
  actual = [np.float32(Image.open(tmp_path / f"{seed}.png")) for seed in (3, 4)]
  np.testing.assert_allclose(actual[0], np.asarray(expected) * 255, atol=0.6)
  assert np.abs(actual[0] - actual[1]).max() > 0


def test_existing_output_is_replaced_and_nothing_else_is_left(run, style, tmp_path):
  content = save(tmp_path / "content.png")
  output = tmp_path / "out.png"
  output.write_bytes(b"old")
  assert run("--content", content, "--style", style, "--output", output)[0] == 0
  assert Image.open(output).size == (WIDTH, HEIGHT)
  assert sorted(os.listdir(tmp_path)) == ["content.png", "out.png", "style.png"]


class TestManyImages:
  @pytest.fixture
  def photos(self, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, size in enumerate([(20, 30), (30, 20), (20, 30)]):
      save(folder / f"p{index}.jpg", size=size, seed=index)
    return folder

  def test_folder_in_several_styles(self, run, params, photos, style, tmp_path):
    other = save(tmp_path / "other.png", size=(64, 64), seed=11)
    output = tmp_path / "out"
    status, out, err = run(
      "--content", photos, "--style", style, other, "--output", output, "--style-size", "64"
    )
    assert status == 0
    assert "6 images" in out
    assert "images/s" in err
    names = {f"p{i}_{name}.png" for i in range(3) for name in ("style", "other")}
    assert set(os.listdir(output)) == names
    for index, size in enumerate([(20, 30), (30, 20), (20, 30)]):
      rgb = Image.open(photos / f"p{index}.jpg")
      assert rgb.size == size
      for path in (style, other):
        actual = np.float32(Image.open(output / f"p{index}_{path.stem}.png"))
        np.testing.assert_allclose(actual, stylized(params, rgb, path), atol=0.6)

  def test_folder_of_styles_and_another_format(self, run, photos, tmp_path):
    content = save(tmp_path / "content.png")
    output = tmp_path / "out"
    output.mkdir()
    assert (
      run("--content", content, "--style", photos, "--output", output, "--format", "webp")[0] == 0
    )
    assert set(os.listdir(output)) == {f"content_p{i}.webp" for i in range(3)}

  def test_one_image_into_a_folder(self, run, style, tmp_path):
    content = save(tmp_path / "content.png")
    assert run("--content", content, "--style", style, "--output", f"{tmp_path}/new/")[0] == 0
    assert os.listdir(tmp_path / "new") == ["content_style.png"]

  def test_unreadable_ones_are_skipped_and_named(self, run, photos, style, tmp_path):
    (photos / "bad.jpg").write_bytes(b"no image")
    save(photos / "small.png", size=(15, 40))
    status, out, err = run("--content", photos, "--style", style, "--output", tmp_path / "out")
    assert status == 1
    assert "3 images" in out and "2 skipped" in out
    assert "bad.jpg: found" in err and "small.png: found 15×40 pixels" in err
    assert len(os.listdir(tmp_path / "out")) == 3

  def test_unreadable_style_among_several_is_skipped(self, run, photos, style, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    status, _out, err = run(
      "--content", photos, "--style", bad, style, "--output", tmp_path / "out"
    )
    assert status == 1
    assert "bad.png: found" in err
    assert set(os.listdir(tmp_path / "out")) == {f"p{i}_style.png" for i in range(3)}


def test_a_folder_gives_every_format_and_names_the_rest(run, style, tmp_path):
  for name in ("a.jpg", "b.tif", "c.bmp", "d.gif", "e.png", "f.ppm"):
    (tmp_path / "in").mkdir(exist_ok=True)
    save(tmp_path / "in" / name)
  (tmp_path / "in" / "notes.txt").write_text("no image")
  (tmp_path / "in" / "g.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(40))
  status, _, err = run("--content", tmp_path / "in", "--style", style, "--output", tmp_path / "o")
  assert status == 1
  assert sorted(os.listdir(tmp_path / "o")) == [f"{name}_style.png" for name in "abcdef"]
  assert "note: --content: 1 of 8 files left out, which are not JPEG" in err
  assert f"({tmp_path}/in/notes.txt)" in err
  assert "skipped: " in err and "g.heic: found" in err


def test_what_is_ignored_of_an_input_is_said_once(run, style, tmp_path):
  content = save(tmp_path / "content.png", icc_profile=b"no profile")
  status, _, err = run("--content", content, "--style", style, "--output", tmp_path / "o.png")
  assert status == 0
  assert err == f"note: {content}: its ICC profile can't be read and is ignored\n"
