"""A folder with small versions of the files that the pages mention."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stylejax
from stylejax.weights import model_file

SAMPLES = Path(stylejax.__file__).parent / "assets" / "samples"
FILES = {
  "photo.jpg": "content/cat.jpg",
  "huge.jpg": "content/coffee.jpg",
  "photos/one.jpg": "content/cat.jpg",
  "photos/two.jpg": "content/coffee.jpg",
  "painting.jpg": "style/adele_bloch_bauer.jpg",
  "irises.jpg": "style/irises.jpg",
  "wave.jpg": "style/great_wave.jpg",
  # As README names them, from a clone.
  "stylejax/assets/samples/content/cat.jpg": "content/cat.jpg",
  "stylejax/assets/samples/style/irises.jpg": "style/irises.jpg",
}
WIDTH, HEIGHT = 96, 64


@pytest.fixture
def folder(originals, tmp_path):
  """A folder of its own for each test: pages write files of the same names."""
  return shutil.copytree(originals, tmp_path / "folder")


@pytest.fixture(scope="module")
def originals(tmp_path_factory, tiny_params):
  """Images of 96 × 64 pixels with the names that pages use; also a mask and a GIF."""
  folder = tmp_path_factory.mktemp("pages")
  for name, sample in FILES.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(SAMPLES / sample) as image:
      image.convert("RGB").resize((WIDTH, HEIGHT)).save(path)
  stone = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  Image.fromarray(stone).save(folder / "stone.png")
  for name in ("mask.png", "map.png"):
    ramp = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    Image.fromarray(ramp).save(folder / name)
  (folder / "frames").mkdir()
  frames = [Image.open(folder / name) for name in ("photo.jpg", "huge.jpg")]
  for number, frame in enumerate(frames):
    frame.save(folder / "frames" / f"{number}.png")
  frames[0].save(folder / "cat.gif", save_all=True, append_images=frames[1:])
  stylejax.save_weights(folder / "mine.safetensors", tiny_params)
  return folder


@pytest.fixture(autouse=True)
def small_weights(originals, monkeypatch):
  """The smallest nets instead of the packaged ones: only what pages say is tested here."""
  monkeypatch.setitem(model_file.PACKAGED, "base", (str(originals / "mine.safetensors"),))
