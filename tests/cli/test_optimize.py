"""`stylejax optimize`: its three methods equal the package's functions; its checks; --watch."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image

import stylejax
from stylejax.cli import main as command
from stylejax.images import encode
from stylejax.images.decode import read_image
from stylejax.inference import keyframed, method_table, optimized
from stylejax.optimization import colors, neighbors, refine

SIZE = 64


@pytest.fixture
def files(tmp_path, monkeypatch):
  monkeypatch.setenv("STYLEJAX_CACHE", "")
  monkeypatch.chdir(tmp_path)
  rng = np.random.default_rng(0)
  for name, size in (("photo", (64, 72)), ("style", (80, 64))):
    coarse = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize(size[::-1]).save(f"{name}.png")
  return tmp_path


def run(*words):
  return command.main(["optimize", *map(str, words)])


def pixels(path):
  return np.float32(Image.open(path)) / 255


def images():
  """Content and style as the command reads them."""
  content = encode.resize(read_image("photo.png"), SIZE, 72).rgb[None]
  return content, encode.style_pixels(read_image("style.png"), SIZE)[None]


def test_neighbors_is_the_packages_function(files, capsys):
  """A few steps at a time, as for the progress bar, equal those of one call."""
  words = ("--method", "neighbors", "--size", SIZE, "--steps", 20)
  assert run("photo.png", "style.png", "o.png", *words) == 0
  out, err = capsys.readouterr()
  assert "o.png" in out and "loss" in err
  content, style = images()
  plan = neighbors.stages(content.shape[1:3], [style.shape[1:3]])
  usual = neighbors.default_steps(plan)
  ends = np.round(np.cumsum(usual) * 20 / sum(usual)).astype(np.int32)
  steps = list(np.diff(ends, prepend=np.int32(0)))
  expected = jax.jit(stylejax.optimize_neighbors)(
    stylejax.load_vgg(), content, [style], steps=steps
  )
  # Few steps, since Adam's signs of noise differ between programs: after the usual number, half of
  # the pixels were off by up to two levels with jax 0.12.0.1. Ten more steps change 15 levels.
  difference = np.abs(pixels("o.png") - np.asarray(expected[0]))
  assert np.median(difference) < 0.5 / 255 and difference.mean() < 0.003


def test_refine_is_the_packages_function(files, capsys, monkeypatch):
  words = ("--method", "refine", "--size", SIZE, "--steps", 30, "--preserve-color", 1)
  assert run("photo.png", "style.png", *words) == 0
  assert "photo_style.png" in capsys.readouterr().out
  content, style = images()
  stylized = jax.jit(stylejax.stylize)(stylejax.load_pretrained(), content, style[0])
  whole = functools.partial(
    jax.jit(stylejax.refine_neighbors),
    stylejax.load_vgg(),
    stylized,
    content,
    [style],
    steps=[np.int32(10), np.int32(20)],
  )
  expected = whole(keep_color=np.float32(1), own_color=np.float32(0))
  difference = np.abs(pixels("photo_style.png") - np.asarray(expected[0]))
  assert np.median(difference) < 1.5 / 255 and difference.mean() < 0.02

  # Keyframes of films are made in the same way, except for the colors.
  monkeypatch.setattr(refine, "default_steps", lambda plan: (10, 20))
  paint = keyframed.paint_with("refine", [style[0]], None)
  expected = whole(keep_color=np.float32(0), own_color=np.float32(colors.OWN_COLOR))
  difference = np.abs(paint(content[0], stylized[0], True) - np.asarray(expected[0]))
  assert np.median(difference) < 1.5 / 255 and difference.mean() < 0.02


def test_more_weight_keeps_more_of_the_content(files):
  words = ("photo.png", "style.png", "--method", "neighbors", "--size", SIZE, "--steps", 30)
  content, _ = images()
  distances = []
  for weight in (0, 1):
    name = f"{weight}.png"
    # In the photo's colors, so that both begin with its luminance.
    settings = ("--content-weight", weight, "--preserve-color", 1)
    assert run(*words, "--output", name, *settings) == 0
    gray = pixels(name).mean(-1) - content[0].mean(-1)
    distances.append(np.abs(gray - gray.mean()).mean())
  assert distances[1] < 0.8 * distances[0]


def test_gram_keeps_the_contents_colors(files):
  words = ("photo.png", "style.png", "--size", SIZE, "--steps", 8, "--optimizer", "adam")
  assert run(*words, "--output", "a.png") == 0
  assert run(*words, "--output", "b.png", "--preserve-color", "1") == 0
  content, _ = images()
  expected = stylejax.preserve_color(pixels("a.png"), content[0])
  np.testing.assert_allclose(pixels("b.png"), np.asarray(expected), atol=4 / 255)
  assert np.abs(pixels("a.png") - pixels("b.png")).max() > 0.05


@pytest.mark.parametrize("method", method_table.DESCENTS)
def test_watch_writes_images_of_the_outputs_size(files, method, monkeypatch):
  monkeypatch.setattr(optimized, "WATCH_EVERY", 0.0)
  written = []
  write = encode.write_image

  def record(path, rgb, *arguments, **settings):
    written.append((str(path), rgb.shape))
    return write(path, rgb, *arguments, **settings)

  monkeypatch.setattr(encode, "write_image", record)
  words = ("--method", method, "--size", SIZE, "--steps", 12, "--watch", "look.jpg")
  assert run("photo.png", "style.png", "o.png", *words) == 0
  assert [path for path, _ in written] == ["look.jpg"] * (len(written) - 1) + ["o.png"]
  assert len(written) >= 3 and {shape for _, shape in written} == {(64, 72, 3)}
  assert Image.open("look.jpg").size == (72, 64)


@pytest.mark.parametrize(
  "words, message",
  [
    (("--style-weight", "2", "--method", "refine"), "--style-weight: found it with"),
    (("--optimizer", "adam", "--method", "neighbors"), "--optimizer: found it with"),
    (("--strength", "1"), "--strength: found it with --method gram, expected --method refine"),
    (("--weights", "base", "--method", "neighbors"), "--weights: found it with"),
    (("--content-share", "1"), "expected --method neighbors or refine"),
    (("--content-weight", "1"), "expected --method neighbors or refine"),
    (("--content-weight", "2", "--method", "neighbors"), "--content-weight: found 2"),
    (("--steps", "2"), "--steps: found 2"),
    (("--size", "20"), "--size: found 20"),
    (("--preserve-color", "2"), "--preserve-color: found 2"),
    (("--content-share", "nan", "--method", "refine"), "--content-share: found nan"),
    (("--strength", "3", "--method", "refine"), "--strength: found 3"),
    (("--watch", "photo.png"), "--watch photo.png: found the input"),
    (("--watch", "look.gif"), "--watch look.gif: found extension '.gif'"),
    (("--watch", "no/look.png"), "no"),
    (("--weights", "no.safetensors", "--method", "refine"), "no.safetensors"),
    (("--style", "b.png"), "--style: found it with 2 files"),
  ],
)
def test_a_mistake_is_one_line(files, words, message, capsys):
  assert run("photo.png", "style.png", *words) == 2
  out, err = capsys.readouterr()
  assert out == "" and err.startswith("error: ") and err.count("\n") == 1
  assert message in err
  assert sorted(path.name for path in files.iterdir()) == ["photo.png", "style.png"]
