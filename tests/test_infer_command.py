"""infer.py on every picture mode, on folders, and on everything a person can get wrong."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import stylejax

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"
WIDTH, HEIGHT = 37, 29


@pytest.fixture(scope="session")
def infer():
  spec = importlib.util.spec_from_file_location("infer", ROOT / "infer.py")
  module = importlib.util.module_from_spec(spec)
  sys.modules["infer"] = module
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="session")
def params():
  """Tiny parameters with NumPy's random numbers: JAX would compile an initialiser for each."""
  config = stylejax.PRESETS["tiny"]
  shapes = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), config))
  generator = np.random.default_rng(5)
  # Multiples of 1/1024 below 1 survive float16, so the file gives back these very numbers.
  return jax.tree.map(
    lambda leaf: np.float32(generator.integers(-200, 200, leaf.shape) / 1024), shapes)


@pytest.fixture(scope="session")
def weights(params, tmp_path_factory):
  return stylejax.save_weights(
    tmp_path_factory.mktemp("weights") / "tiny.safetensors", params, {"made": "by a test"})


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
  monkeypatch.setenv("STYLEJAX_CACHE", "")


@pytest.fixture
def run(infer, weights, capsys, monkeypatch):
  """Runs the command in this process; returns (status, stdout, stderr)."""
  monkeypatch.setenv("COLUMNS", "200")

  def call(*arguments, weights=weights):
    arguments = [str(argument) for argument in arguments]
    if weights is not None:
      arguments += ["--weights", str(weights)]
    capsys.readouterr()
    try:
      status = infer.main(arguments)
    except SystemExit as exit_:  # tyro's own parse errors
      status = exit_.code
    return status, *capsys.readouterr()

  return call


def pixels(mode, size=(WIDTH, HEIGHT), seed=0):
  """A smooth picture with some noise in the given Pillow mode."""
  width, height = size
  generator = np.random.default_rng(seed)
  y, x = np.mgrid[:height, :width]
  ramp = np.stack([x / width, y / height, (x + y) / (width + height)], -1)
  rgb = np.uint8(np.clip(ramp * 200 + generator.integers(0, 50, ramp.shape), 0, 255))
  image = Image.fromarray(rgb)
  alpha = Image.fromarray(np.uint8(generator.integers(0, 256, (height, width))))
  if mode in ("RGBA", "LA"):
    image = image.convert(mode[:-1])
    image.putalpha(alpha)
    return image
  if mode == "I;16":
    return Image.fromarray(np.uint16(rgb[..., 0]) * 257)
  if mode == "P":
    return image.quantize(32)
  return image.convert(mode)


def save(path, mode="RGB", size=(WIDTH, HEIGHT), seed=0, **settings):
  pixels(mode, size, seed).save(path, **settings)
  return path


@pytest.fixture
def style(tmp_path):
  return save(tmp_path / "style.png", size=(64, 64), seed=9)


_stylize = jax.jit(stylejax.stylize)


def stylized(params, rgb, style, strength=1.0):
  """What the file must hold, by the library's own function, in 0 to 255."""
  style = np.float32(Image.open(style).convert("RGB")) / 255
  return 255 * np.asarray(
    _stylize(params, np.float32(rgb) / 255, style, strength=np.float32(strength)))


# Mode, extension of the file, what to pass to Pillow, and the mode of the output.
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
  "grey JPEG": ("L", "jpg", {}, "RGB"),
  "CMYK JPEG": ("CMYK", "jpg", {}, "RGB"),
  "WebP": ("RGBA", "webp", {"lossless": True, "exact": True}, "RGBA"),
  "TIFF": ("RGB", "tif", {}, "RGB"),
  "BMP": ("RGB", "bmp", {}, "RGB"),
  "GIF": ("P", "gif", {}, "RGB"),
}


@pytest.mark.parametrize("case", MODES)
def test_every_picture_mode(run, params, style, tmp_path, case):
  mode, extension, settings, expected_mode = MODES[case]
  content = save(tmp_path / f"content.{extension}", mode, **settings)
  output = tmp_path / "out.png"
  status, out, err = run("--content", content, "--style", style, "--output", output,
                         "--style-size", "64")
  assert (status, err) == (0, "")
  assert str(output) in out
  found, source = Image.open(output), Image.open(content)
  assert (found.mode, found.size) == (expected_mode, (WIDTH, HEIGHT))
  if mode == "I;16":
    rgb = np.repeat(np.asarray(source)[..., None] / 257, 3, -1)
  else:
    rgb = source.convert("RGB")
  if expected_mode == "RGBA":
    alpha = np.asarray(source.convert("RGBA"))[..., 3]
    np.testing.assert_array_equal(np.asarray(found)[..., 3], alpha)
    assert alpha.min() < 255
  np.testing.assert_allclose(
    np.float32(found.convert("RGB")), stylized(params, rgb, style), atol=0.6)


@pytest.mark.parametrize("extension", ["png", "jpg", "jpeg", "webp", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_every_output_format(run, params, style, tmp_path, mode, extension):
  content = save(tmp_path / "content.png", mode)
  output = tmp_path / f"out.{extension}"
  status, _, err = run("--content", content, "--style", style, "--output", output,
                       "--style-size", "64", "--quality", "100")
  assert (status, err) == (0, "")
  found, source = Image.open(output), Image.open(content)
  expected_format = {"png": "PNG", "webp": "WEBP"}.get(extension.lower(), "JPEG")
  assert (found.format, found.size) == (expected_format, (WIDTH, HEIGHT))
  expected = stylized(params, source.convert("RGB"), style)
  jpeg = expected_format == "JPEG"
  if mode == "RGBA" and jpeg:
    alpha = np.float32(source)[..., 3:] / 255
    expected = expected * alpha + 255 * (1 - alpha)
  elif mode == "RGBA":
    np.testing.assert_array_equal(np.asarray(found)[..., 3], np.asarray(source)[..., 3])
  else:
    assert found.mode == "RGB"
  np.testing.assert_allclose(
    np.float32(found.convert("RGB")), expected, atol=12 if jpeg else 0.6)


def test_exif_orientation_is_applied(run, params, style, tmp_path):
  exif = Image.Exif()
  exif[274] = 6  # held so that it must be turned by 90 degrees clockwise
  content = save(tmp_path / "content.png", exif=exif)
  output = tmp_path / "out.png"
  assert run("--content", content, "--style", style, "--output", output,
             "--style-size", "64")[0] == 0
  upright = Image.open(content).convert("RGB").transpose(Image.Transpose.ROTATE_270)
  found = Image.open(output)
  assert found.size == (HEIGHT, WIDTH)
  assert found.getexif().get(274, 1) == 1
  np.testing.assert_allclose(np.float32(found), stylized(params, upright, style), atol=0.6)


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
  assert run("--content", content, "--style", style, "--output", output, "--style-size", "64",
             "--strength", strength)[0] == 0
  expected = stylized(params, Image.open(content), style, strength)
  np.testing.assert_allclose(np.float32(Image.open(output)), expected, atol=0.6)


def test_size_scales_the_shorter_side_of_the_output(run, style, tmp_path):
  content = save(tmp_path / "content.png", "RGBA", size=(80, 40))
  output = tmp_path / "out.png"
  assert run("--content", content, "--style", style, "--output", output, "--size", "20")[0] == 0
  found = Image.open(output)
  assert (found.mode, found.size) == ("RGBA", (40, 20))


def test_style_size_changes_the_picture(run, style, tmp_path):
  content = save(tmp_path / "content.png")
  for name, side in (("a.png", 32), ("b.png", 64)):
    assert run("--content", content, "--style", style, "--output", tmp_path / name,
               "--style-size", side)[0] == 0
  a, b = (np.int16(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
  assert np.abs(a - b).max() > 0


def test_seed_invents_a_style(run, params, tmp_path):
  content = save(tmp_path / "content.png")
  for seed in (3, 4):
    assert run("--content", content, "--seed", seed, "--output", tmp_path / f"{seed}.png")[0] == 0
  picture = np.float32(Image.open(content)) / 255
  expected = jax.jit(lambda params: stylejax.generate(
    params, stylejax.encode_content(params, picture),
    stylejax.sample_style(params, jax.random.key(3))))(params)
  found = [np.float32(Image.open(tmp_path / f"{seed}.png")) for seed in (3, 4)]
  np.testing.assert_allclose(found[0], np.asarray(expected) * 255, atol=0.6)
  assert np.abs(found[0] - found[1]).max() > 0


def test_existing_output_is_replaced_and_nothing_else_is_left(run, style, tmp_path):
  content = save(tmp_path / "content.png")
  output = tmp_path / "out.png"
  output.write_bytes(b"old")
  assert run("--content", content, "--style", style, "--output", output)[0] == 0
  assert Image.open(output).size == (WIDTH, HEIGHT)
  assert sorted(os.listdir(tmp_path)) == ["content.png", "out.png", "style.png"]


class TestManyPictures:

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
    status, out, err = run("--content", photos, "--style", style, other, "--output", output,
                           "--style-size", "64")
    assert status == 0
    assert "6 pictures" in out
    assert "images/s" in err
    names = {f"p{i}_{name}.png" for i in range(3) for name in ("style", "other")}
    assert set(os.listdir(output)) == names
    for index, size in enumerate([(20, 30), (30, 20), (20, 30)]):
      rgb = Image.open(photos / f"p{index}.jpg")
      assert rgb.size == size
      for path in (style, other):
        found = np.float32(Image.open(output / f"p{index}_{path.stem}.png"))
        np.testing.assert_allclose(found, stylized(params, rgb, path), atol=0.6)

  def test_folder_of_styles_and_another_format(self, run, photos, tmp_path):
    content = save(tmp_path / "content.png")
    output = tmp_path / "out"
    output.mkdir()
    assert run("--content", content, "--style", photos, "--output", output,
               "--format", "webp")[0] == 0
    assert set(os.listdir(output)) == {f"content_p{i}.webp" for i in range(3)}

  def test_one_picture_into_a_folder(self, run, style, tmp_path):
    content = save(tmp_path / "content.png")
    assert run("--content", content, "--style", style, "--output", f"{tmp_path}/new/")[0] == 0
    assert os.listdir(tmp_path / "new") == ["content_style.png"]

  def test_unreadable_ones_are_skipped_and_named(self, run, photos, style, tmp_path):
    (photos / "bad.jpg").write_bytes(b"no picture")
    save(photos / "small.png", size=(15, 40))
    status, out, err = run("--content", photos, "--style", style, "--output", tmp_path / "out")
    assert status == 1
    assert "3 pictures" in out and "2 skipped" in out
    assert "bad.jpg: found" in err and "small.png: found 15×40 pixels" in err
    assert len(os.listdir(tmp_path / "out")) == 3

  def test_unreadable_style_among_several_is_skipped(self, run, photos, style, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    status, out, err = run("--content", photos, "--style", bad, style, "--output", tmp_path / "out")
    assert status == 1
    assert "bad.png: found" in err
    assert set(os.listdir(tmp_path / "out")) == {f"p{i}_style.png" for i in range(3)}


def truncated(folder):
  path = save(folder / "cut.jpg", size=(200, 200))
  path.write_bytes(path.read_bytes()[:2000])
  return path


def made(path, content):
  path.write_bytes(content)
  return path


def folder_with(folder, *names):
  (folder / "many").mkdir()
  for name in names:
    save(folder / "many" / name)
  return folder / "many"


def linked(path, target):
  path.symlink_to(target)
  return path


def safetensors(path, arrays, metadata=None):
  from safetensors.numpy import save_file
  save_file(arrays, path, metadata=metadata)
  return path


# What is wrong: the arguments it changes, from the temporary folder, and what the line must say.
# A value of None leaves the argument out.
BAD = {
  "missing content": (lambda d: {"content": d / "no.png"}, ["no.png", "found no"]),
  "missing style": (lambda d: {"style": d / "no.png"}, ["no.png", "found no"]),
  "truncated JPEG": (lambda d: {"content": truncated(d)}, ["cut.jpg", "damaged"]),
  "truncated style": (lambda d: {"style": truncated(d)}, ["cut.jpg", "damaged"]),
  "zero bytes": (lambda d: {"content": made(d / "z.png", b"")}, ["z.png", "0 bytes"]),
  "text renamed": (lambda d: {"content": made(d / "t.png", b"hello")}, ["t.png", "not a picture"]),
  "1x1 content": (lambda d: {"content": save(d / "1.png", size=(1, 1))}, ["1×1", "16×16"]),
  "1x1 style": (lambda d: {"style": save(d / "1.png", size=(1, 1))}, ["1×1", "16×16"]),
  "15 pixels": (lambda d: {"content": save(d / "1.png", size=(40, 15))}, ["40×15", "16×16"]),
  "empty folder": (lambda d: {"content": folder_with(d)}, ["many", "found no picture"]),
  "empty style folder": (lambda d: {"style": folder_with(d)}, ["many", "found no picture"]),
  "no content": (lambda d: {"content": []}, ["--content"]),
  "no style": (lambda d: {"style": None}, ["--style", "found nothing"]),
  "link to itself": (lambda d: {"content": linked(d / "l.png", d / "l.png")}, ["l.png"]),
  "device": (lambda d: {"content": "/dev/null"}, ["/dev/null", "special file"]),
  "newline in name": (lambda d: {"content": d / "a\nb.png"}, ["a\\nb.png"]),
  "strength 7": (lambda d: {"strength": 7}, ["--strength", "found 7", "0 to 2"]),
  "strength -1": (lambda d: {"strength": -1}, ["--strength", "found -1", "0 to 2"]),
  "strength NaN": (lambda d: {"strength": "nan"}, ["--strength", "found nan", "0 to 2"]),
  "strength infinite": (lambda d: {"strength": "inf"}, ["--strength", "found inf", "0 to 2"]),
  "size 0": (lambda d: {"size": 0}, ["--size", "found 0", "16 to 16384"]),
  "size huge": (lambda d: {"size": 10**9}, ["--size", "16 to 16384"]),
  "style size": (lambda d: {"style-size": 8}, ["--style-size", "found 8"]),
  "quality": (lambda d: {"quality": 101}, ["--quality", "1 to 100"]),
  "seed": (lambda d: {"seed": -1}, ["--seed", "found -1"]),
  "output extension": (lambda d: {"output": d / "o.xyz"}, ["o.xyz", "'.xyz'", ".png"]),
  "output not writable as": (lambda d: {"output": d / "o.gif"}, ["o.gif", "'.gif'", ".png"]),
  "no output extension": (lambda d: {"output": d / "o"}, ["no extension", ".png"]),
  "output is content": (lambda d: {"output": d / "content.png"}, ["content.png", "the input"]),
  "output is style": (lambda d: {"output": d / "style.png"}, ["style.png", "the input"]),
  "output links to content": (
    lambda d: {"output": linked(d / "l.png", d / "content.png")}, ["l.png", "the input"]),
  "output loops": (lambda d: {"output": linked(d / "l.png", d / "l.png")}, ["l.png"]),
  "no output folder": (lambda d: {"output": d / "no" / "o.png"}, ["no such folder"]),
  "output folder is a file": (
    lambda d: {"output": d / "content.png" / "o.png"}, ["content.png", "found a file"]),
  "output can't be made": (lambda d: {"output": "/proc/stylized.png"}, ["/proc"]),
  "output name too long": (lambda d: {"output": d / ("o" * 300 + ".png")}, ["too long"]),
  "file for many": (
    lambda d: {"content": folder_with(d, "a.png", "b.png")}, ["one file name for 2 pictures"]),
  "existing file for many": (
    lambda d: {"content": folder_with(d, "a.png", "b.png"), "output": made(d / "o", b"x")},
    ["found a file, expected a folder"]),
  "duplicate outputs": (
    lambda d: {"content": folder_with(d, "a.png", "a.webp"), "output": d / "o"},
    ["a_style.png", "twice"]),
  "output in folder is content": (
    lambda d: {"content": folder_with(d, "a.png", "a_style.png"), "output": d / "many"},
    ["a_style.png", "the input"]),
  "missing weights": (lambda d: {"weights": d / "no.safetensors"}, ["no.safetensors", "'base'"]),
  "weights are a folder": (lambda d: {"weights": d}, ["found a folder"]),
  "weights are text": (
    lambda d: {"weights": made(d / "w.safetensors", b"hello")},
    ["w.safetensors", "found no whole"]),
  "weights are empty": (
    lambda d: {"weights": made(d / "w.safetensors", b"")}, ["w.safetensors", "found no whole"]),
  "weights are a pickle": (
    lambda d: {"weights": made(d / "w.pth", b"\x80\x04}.")}, ["w.pth", "found no whole"]),
  "other model's weights": (
    lambda d: {"weights": safetensors(d / "w.safetensors", {"conv": np.zeros(3, np.float32)})},
    ["w.safetensors", "without stylejax's config"]),
}


class TestBadInput:

  @pytest.mark.parametrize("case", BAD)
  def test_one_line_and_nothing_written(self, run, style, weights, tmp_path, case):
    change, expected = BAD[case]
    settings = {"content": save(tmp_path / "content.png"), "style": style,
                "output": tmp_path / "out.png"}
    settings.update(change(tmp_path))
    before = snapshot(tmp_path)
    arguments = []
    for flag, value in settings.items():
      if value is not None:
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{flag}", *values]
    status, out, err = run(*arguments, weights=None if "weights" in settings else weights)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n")
    for words in expected:
      assert words in err
    assert snapshot(tmp_path) == before

  @pytest.mark.parametrize("flag", ["content", "style"])
  def test_several_none_of_which_can_be_read(self, run, style, tmp_path, flag):
    good = save(tmp_path / "good.png")
    bad = [made(tmp_path / "a.png", b"x"), made(tmp_path / "b.png", b"y")]
    before = snapshot(tmp_path)
    contents, styles = (bad, [good]) if flag == "content" else ([good], bad)
    status, out, err = run("--content", *contents, "--style", *styles, "--output", tmp_path / "o")
    assert (status, out) == (2, "")
    *skipped, last = err.splitlines()
    assert [line.split(":")[0] for line in skipped if line.startswith("skipped")] == ["skipped"] * 2
    assert last.startswith(f"error: --{flag}: found no readable picture among 2")
    assert "a.png" in last
    assert snapshot(tmp_path) == before

  def test_weights_without_noise_generator(self, run, params, style, tmp_path):
    weights = stylejax.save_weights(
      tmp_path / "w.safetensors", params.replace(noise_generator=None))
    status, _, err = run("--content", style, "--seed", "1", "--output", tmp_path / "o.png",
                         weights=weights)
    assert status == 2
    assert "found no noise_generator" in err
    assert not (tmp_path / "o.png").exists()

  def test_a_full_disk_leaves_nothing(self, run, style, tmp_path, monkeypatch):
    content = save(tmp_path / "content.png")

    def full(self, data):
      with open(self, "wb") as file:
        file.write(data[:100])
      raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    before = snapshot(tmp_path)
    status, _, err = run("--content", content, "--style", style, "--output", f"{tmp_path}/new/")
    assert status == 2
    assert "No space left on device" in err and err.count("\n") == 1
    assert snapshot(tmp_path) == before

  @pytest.mark.parametrize("arguments", [
    ["--strength", "strong"], ["--size", "1.5"], ["--bogus", "1"], ["--format", "gif"],
    ["--content", "again.png"],
  ])
  def test_arguments_that_cannot_be_parsed_exit_with_2(self, run, style, tmp_path, arguments):
    content = save(tmp_path / "content.png")
    before = snapshot(tmp_path)
    status, _, err = run("--content", content, "--style", style, "--output", tmp_path / "o.png",
                         *arguments)
    assert status == 2
    assert arguments[0] in err and "Traceback" not in err
    assert snapshot(tmp_path) == before


def snapshot(folder):
  """Every path below the folder with its bytes, links by their target."""
  return {
    path: os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
    for path in sorted(folder.rglob("*"))}


class TestProcess:
  """As a person starts it, from another folder."""

  def start(self, *arguments, cwd, cache=""):
    environment = os.environ | {"STYLEJAX_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
      [sys.executable, str(ROOT / "infer.py"), *map(str, arguments)], cwd=cwd, env=environment,
      capture_output=True, text=True, timeout=300)

  def test_samples_and_a_cache_that_gets_damaged(self, weights, tmp_path):
    photo, cache = SAMPLES / "content" / "cat.jpg", tmp_path / "cache"
    pictures = []
    for _ in range(2):
      result = self.start("--content", photo, "--style", SAMPLES / "style" / "irises.jpg", "--output",
                          "out.png", "--weights", weights, cwd=tmp_path, cache=cache)
      assert (result.returncode, result.stderr) == (0, "")
      pictures.append(np.asarray(Image.open(tmp_path / "out.png")))
      entries = [path for path in cache.iterdir() if "jit_generate" in path.name]
      assert len(entries) == 1 and entries[0].stat().st_size > 1000
      entries[0].write_bytes(entries[0].read_bytes()[:500])
    assert pictures[0].shape[:2] == Image.open(photo).size[::-1]
    np.testing.assert_array_equal(*pictures)

  def test_bad_input_is_one_line_without_traceback(self, weights, tmp_path):
    result = self.start("--content", "no.png", "--style", "no.png", "--output", "out.png",
                        "--weights", weights, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []

  def test_help_teaches_and_does_not_wait_for_jax(self, tmp_path):
    code = ("import sys; sys.path.insert(0, sys.argv.pop()); import infer\n"
            "try:\n  infer.main(['--help'])\nexcept SystemExit as e:\n"
            "  assert not e.code and 'jax' not in sys.modules")
    result = subprocess.run([sys.executable, "-c", code, str(ROOT)], cwd=tmp_path,
                            capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert "python infer.py --content photo.jpg --style painting.jpg --output" in result.stdout
