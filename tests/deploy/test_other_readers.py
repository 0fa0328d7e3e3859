"""An exported program in environments with another jax: the oldest named reader runs it.

Each test installs a jax of its own, which takes a package index.
"""

import os
import subprocess
import sys

import jax
import jaxlib
import numpy as np
import pytest

import stylejax
from stylejax.deploy.support_window import OLDEST_READER
from stylejax.images import encode
from stylejax.images.decode import read_image
from stylejax.training.streams import SAMPLES

pytestmark = pytest.mark.slow
READ = """
import sys, zipfile
import jax.export
import numpy as np
with zipfile.ZipFile("stylize.zip") as file:
  stylize = jax.export.deserialize(bytearray(file.read("stylize.bin"))).call
images = np.load("images.npz")
image = stylize(images["content"], images["style"], np.float32(1))
np.save("image.npy", image)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
  """A folder with a program, images of a size not used to check it, and the expected result."""
  folder = tmp_path_factory.mktemp("exported")
  params = stylejax.load_pretrained()
  stylejax.export(params, folder / "stylize.zip", platforms=("cpu",), sizes=((48, 64),))
  # Not noise, on which the order of sums alone moves pixels by 4e-5.
  content, style = (
    encode.resize(read_image(SAMPLES / name), 40, 56).rgb
    for name in ("content/cat.jpg", "style/great_wave.jpg")
  )
  np.savez(folder / "images.npz", content=content[None], style=style)
  (folder / "read.py").write_text(READ)
  return folder, np.asarray(jax.jit(stylejax.stylize)(params, content[None], style[None]))


def read_by(version, folder):
  """Reads the program in an environment with that jax."""
  place = folder / version
  subprocess.run([sys.executable, "-m", "venv", place], check=True)
  python = place / "bin" / "python"
  installed = subprocess.run(
    [
      python,
      *("-m", "pip", "install", "--quiet", "--no-compile"),
      *(f"jax=={version}", f"jaxlib=={version}", "flatbuffers"),
    ],
    capture_output=True,
    text=True,
  )
  if installed.returncode:
    assert "CI" not in os.environ, installed.stderr  # there the skip would hide a wrong version
    pytest.skip(f"jax {version} can't be installed: {installed.stderr.strip()[-200:]}")
  (folder / "image.npy").unlink(missing_ok=True)
  return subprocess.run([python, "read.py"], cwd=folder, capture_output=True, text=True)


@pytest.mark.skipif(
  jax.__version__ not in OLDEST_READER or jax.__version__ != jaxlib.__version__,
  reason="no older reader was tried for this jax",
)
def test_oldest_reader_that_is_named_runs_the_program(exported):
  folder, expected = exported
  done = read_by(OLDEST_READER[jax.__version__], folder)
  assert done.returncode == 0, done.stderr
  np.testing.assert_allclose(np.load(folder / "image.npy"), expected, atol=2e-5)


@pytest.mark.skipif(jax.__version__ != "0.10.2", reason="an older one was tried for jax 0.10.2")
def test_the_release_before_it_reads_the_program_and_can_not_call_it(exported):
  """Its message only speaks of devices, which is why the manifest names the oldest reader."""
  done = read_by("0.8.1", exported[0])
  assert done.returncode != 0 and "0 devices" in done.stderr, done.stderr[-500:]
