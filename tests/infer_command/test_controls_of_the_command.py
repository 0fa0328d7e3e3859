"""infer.py: mixtures, regions, strength maps, colors, interpolations, and the library."""

import json
import os

import jax
import numpy as np
import pytest
from infer_cases import HEIGHT, WIDTH, pixels, save
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.numpy import save_file

import stylejax
from stylejax.cli import style_work as styles


@pytest.fixture(scope="module")
def params(params):
  """Doubled parameters, with which two styles differ by more than rounding."""
  return jax.tree.map(lambda leaf: 2 * leaf, params)


@pytest.fixture(scope="module")
def weights(params, tmp_path_factory):
  return stylejax.save_weights(tmp_path_factory.mktemp("weights") / "double.safetensors", params)


@pytest.fixture
def files(tmp_path):
  """A content, two styles and a mask of its right half."""
  mask = np.zeros((HEIGHT, WIDTH), np.uint8)
  mask[:, WIDTH // 2 :] = 255
  Image.fromarray(mask).save(tmp_path / "mask.png")
  save(tmp_path / "content.png")
  save(tmp_path / "one.png", size=(64, 64), seed=9)
  ImageOps.invert(pixels("RGB", (64, 64), 11)).save(tmp_path / "two.png")
  return tmp_path


def image(path):
  return np.float32(Image.open(path).convert("RGB")) / 255


_stylize = jax.jit(stylejax.stylize)


@pytest.fixture
def stylized(run, files, params):
  """The command's image and the library's, of the two styles."""

  def call(*arguments, styles=("one", "two"), output="out.png", **controls):
    status, _out, err = run(
      "--content", files / "content.png", "--output", files / output, "--style-size", 64, *arguments
    )
    assert (status, err) == (0, "")
    expected = _stylize(
      params,
      image(files / "content.png"),
      [image(files / f"{name}.png") for name in styles],
      **({"weights": np.ones(len(styles))} | controls),
    )
    return image(files / output), np.asarray(expected)

  return call


def test_a_mixture(stylized, files):
  actual, expected = stylized(
    "--style", f"{files}/one.png:3", f"{files}/two.png:1", weights=np.float32([0.75, 0.25])
  )
  np.testing.assert_allclose(actual, expected, atol=0.003)
  assert np.abs(actual - stylized("--style", files / "one.png")[0]).max() > 0.03


def test_a_region_on_a_style_with_color(stylized, files):
  mask = image(files / "mask.png")[..., 0]
  actual, expected = stylized(
    "--style",
    files / "one.png",
    "--mask",
    f"{files}/mask.png={files}/two.png",
    "--preserve-color",
    0.5,
    "--color-mode",
    "moments",
    "--strength",
    0.7,
    weights=np.stack([1 - mask, mask]),
    color=np.float32(0.5),
    color_mode=np.float32(1),
    strength=np.float32(0.7),
  )
  np.testing.assert_allclose(actual, expected, atol=0.003)


def test_a_region_alone_and_a_strength_map(stylized, files):
  mask = image(files / "mask.png")[..., 0]
  arguments = (
    ("--mask", f"{files}/mask.png={files}/two.png"),
    ("--style", files / "two.png", "--strength-map", files / "mask.png"),
  )
  for words in arguments:
    actual, expected = stylized(
      *words, styles=["two"], weights=np.ones(1, np.float32), strength=mask
    )
    np.testing.assert_allclose(actual, expected, atol=0.003)


def test_stroke_is_a_style_size(run, files):
  for name, words in (("a", ("--stroke", 0.25)), ("b", ("--style-size", 80)), ("c", ())):
    assert (
      run(
        "--content",
        files / "content.png",
        "--style",
        files / "one.png",
        "--output",
        files / f"{name}.png",
        *words,
      )[0]
      == 0
    )
  a, b, c = (image(files / f"{name}.png") for name in "abc")
  np.testing.assert_array_equal(a, b)
  assert np.abs(a - c).max() > 0.01


def test_a_way_as_a_strip_and_as_a_gif(stylized, run, files):
  for name in ("way.png", "way.gif"):
    assert (
      run(
        "--content",
        files / "content.png",
        "--style",
        files / "one.png",
        files / "two.png",
        "--style-size",
        64,
        "--interpolate",
        3,
        "--output",
        files / name,
      )[0]
      == 0
    )
  strip = image(files / "way.png")
  assert strip.shape == (HEIGHT, 3 * WIDTH, 3)
  for frame, part in enumerate((1, 0.5, 0)):
    alone, _ = stylized("--style", f"{files}/one.png:{part}", f"{files}/two.png:{1 - part}")
    np.testing.assert_allclose(strip[:, frame * WIDTH :][:, :WIDTH], alone, atol=0.005)
  animation = Image.open(files / "way.gif")
  assert (animation.n_frames, animation.size) == (3, (WIDTH, HEIGHT))


# What is wrong: the arguments and words of the message.
BAD = {
  "mask of another size": (
    lambda d: ["--mask", f"{d}/one.png={d}/two.png"],
    ["one.png", "64×64", f"{WIDTH}×{HEIGHT}"],
  ),
  "strength map of another size": (lambda d: ["--strength-map", d / "one.png"], ["one.png"]),
  "mask without a style": (lambda d: ["--mask", d / "mask.png"], ["--mask", "MASK=STYLE"]),
  "two strokes": (lambda d: ["--stroke", 2], ["--stroke", "--style-size"]),
  "color": (lambda d: ["--preserve-color", 1.1], ["--preserve-color", "0 to 1"]),
  "one frame": (lambda d: ["--interpolate", 1], ["--interpolate", "2 to"]),
  "way of one": (lambda d: ["--interpolate", 3], ["--interpolate", "two styles"]),
  "output is the mask": (
    lambda d: ["--mask", f"{d}/mask.png={d}/two.png", "--output", d / "mask.png"],
    ["mask.png", "the input"],
  ),
  "gif of one": (lambda d: ["--output", d / "o.gif"], ["'.gif'"]),
  "no library": (
    lambda d: ["--style", "@one", "--library", d / "no.safetensors"],
    ["no.safetensors", "no such file"],
  ),
  "library is a pickle": (
    lambda d: ["--style", "@one", "--library", d / "one.png"],
    ["one.png", "no whole library"],
  ),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_one_line_and_write_nothing(run, files, case):
  make, expected = BAD[case]
  words = make(files)
  defaults = {
    "--content": files / "content.png",
    "--style": files / "one.png",
    "--output": files / "o.png",
    "--style-size": 64,
  }
  for flag, value in defaults.items():
    words += [] if flag in words else [flag, value]
  before = {path: path.read_bytes() for path in files.iterdir()}
  status, out, err = run(*words)
  assert (status, out) == (2, "")
  assert err.startswith("error: ") and err.count("\n") == 1
  assert all(word in err for word in expected), err
  assert {path: path.read_bytes() for path in files.iterdir()} == before


class TestStyles:
  def test_a_life_of_a_library(self, run, files, weights):
    library = files / "l.safetensors"

    def styles(*words):
      return run("styles", *words, "--library", library)

    assert styles("add", files / "one.png", files / "two.png", "--stroke", 0.25)[0] == 0
    assert styles("add", "--seed", 3, "--name", "dream")[0] == 0
    assert styles("list")[1].split() == [
      "@one",
      "one.png",
      "@two",
      "two.png",
      "@dream",
      "seed",
      "3",
    ]
    output = files / "out.png", files / "same.png"
    assert (
      run(
        "--content",
        files / "content.png",
        "--style",
        "@two:1",
        "@one:3",
        "--library",
        library,
        "--output",
        output[0],
      )[0]
      == 0
    )
    assert (
      run(
        "--content",
        files / "content.png",
        "--style",
        f"{files}/two.png:1",
        f"{files}/one.png:3",
        "--style-size",
        80,
        "--output",
        output[1],
      )[0]
      == 0
    )
    np.testing.assert_allclose(image(output[0]), image(output[1]), atol=0.005)
    status, out, _ = styles(
      "sheet",
      "--content",
      files / "content.png",
      files / "one.png",
      "--output",
      files / "sheet.png",
      "--size",
      32,
    )
    assert status == 0 and "3 styles × 2 photos" in out
    width, height = Image.open(files / "sheet.png").size
    assert height == 4 * 36 + 4 and width > 2 * 36
    assert styles("remove", "@one", "dream")[0] == 0
    assert styles("list")[1].split() == ["@two", "two.png"]

  def test_the_nearest_of_a_image_is_itself(self, run, files):
    library = files / "l.safetensors"
    assert run("styles", "add", files / "one.png", files / "two.png", "--library", library)[0] == 0
    status, out, _ = run("styles", "nearest", files / "two.png", "--library", library)
    assert status == 0
    assert out.split()[1::2] == ["@two", "@one"] and float(out.split()[0]) < 1e-3

  def test_the_users_own_is_the_default(self, run, files, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(files / "data"))
    assert run("styles", "add", files / "one.png")[0] == 0
    assert os.listdir(files / "data" / "stylejax") == ["styles.safetensors"]
    assert "@one" in run("styles", "list")[1]

  def test_a_mistake_is_one_line_though_there_are_notes(self, run, files):
    library = files / "l.safetensors"
    assert run("styles", "add", files / "one.png", "--library", library)[0] == 0
    (files / "some").mkdir()
    (files / "some" / "a.png").write_bytes((files / "one.png").read_bytes())
    (files / "some" / "notes.txt").write_text("x")
    for words in (
      ["sheet", "--content", files / "some", "--output", files / "s.txt"],
      ["sheet", "--content", files / "some", files / "no.png", "--output", files / "s.png"],
      ["add", files / "some", library],
    ):
      status, _, error = run("styles", *words, "--library", library)
      assert status == 2 and error.startswith("error: ") and error.count("\n") == 1, error
    status, _, error = run(
      "styles",
      "sheet",
      "--content",
      files / "some",
      "--output",
      files / "s.png",
      "--library",
      library,
      "--size",
      32,
    )
    assert status == 0 and "1 of 2 files left out" in error

  def test_of_two_that_add_at_once_nothing_is_lost(self, run, files, monkeypatch):
    """The second adds, and the third removes, while the first still reads its image."""
    library, read = files / "l.safetensors", styles.StyleReader.read
    assert run("styles", "add", files / "one.png", "--name", "old", "--library", library)[0] == 0

    def slow(codes, source):
      monkeypatch.setattr(styles.StyleReader, "read", read)
      assert run("styles", "add", files / "two.png", "--library", library)[0] == 0
      assert run("styles", "remove", "old", "--library", library)[0] == 0
      return read(codes, source)

    monkeypatch.setattr(styles.StyleReader, "read", slow)
    assert run("styles", "add", files / "one.png", "--library", library)[0] == 0
    assert run("styles", "list", "--library", library)[1].split()[::2] == ["@two", "@one"]
    assert not [name for name in os.listdir(files) if name.endswith((".lock", ".tmp"))]

  @pytest.mark.parametrize("field, text", [("name", "a\x1b[31mb"), ("origin", "a\x1b]0;x\x07b")])
  def test_a_library_cannot_send_the_terminal_anything(self, run, files, field, text):
    library = files / "l.safetensors"
    assert run("styles", "add", files / "one.png", "--library", library)[0] == 0
    with safe_open(library, "np") as file:
      arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
      metadata = file.metadata()
    entries = json.loads(metadata["styles"])
    entries[0][field] = text
    save_file(arrays, library, metadata | {"styles": json.dumps(entries)})
    for words in (
      ["styles", "list"],
      ["styles", "nearest", files / "one.png"],
      ["--content", files / "one.png", "--style", "@two", "--output", files / "o.png"],
    ):
      _, out, err = run(*words, "--library", library)
      assert "\x1b" not in out + err and "\x07" not in out + err

  @pytest.mark.parametrize(
    "words, expected",
    [
      (["sheet", "--content", "FILES/one.png", "--output", "FILES/one.png"], "the input"),
      (["sheet", "--content", "FILES", "--output", "FILES/sheet.png"], "inside the input folder"),
    ],
  )
  def test_a_sheet_is_never_one_of_its_photos(self, run, files, words, expected):
    library = files.parent / f"{files.name}.safetensors"
    assert run("styles", "add", files / "one.png", "--library", library)[0] == 0
    words = [word.replace("FILES", str(files)) for word in words]
    status, out, err = run("styles", *words, "--library", library)
    assert (status, out) == (2, "") and expected in err and err.count("\n") == 1

  @pytest.mark.parametrize(
    "words, expected",
    [
      (["list"], "no such file"),
      (["remove", "one"], "no such file"),
      (["add"], "found nothing"),
      (["add", "no.png"], "no.png"),
      (["add", "FILES", "--name", "x"], "--name: found one for"),
      (["add", "FILES/one.png", "--name", "a b"], "style name a b"),
      (["add", "FILES/one.png", "--library", "FILES/l.pickle"], "found extension '.pickle'"),
      (["add", "FILES/one.png", "--library", "FILES/link.safetensors"], "the input"),
      (["nearest"], "found no image"),
      (["sheet", "--content", "FILES/one.png"], "--output: found nothing"),
      (["sheet", "--content", "FILES/one.png", "--output", "o.png", "--size", "1"], "--size"),
    ],
  )
  def test_mistakes_are_one_line_and_write_nothing(self, run, files, words, expected):
    words = [word.replace("FILES", str(files)) for word in words]
    if "--library" not in words:
      words += ["--library", str(files / "l.safetensors")]
    (files / "link.safetensors").symlink_to("one.png")
    before = set(files.rglob("*"))
    status, out, err = run("styles", *words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and expected in err
    assert set(files.rglob("*")) == before
