"""A browser that opens the page, if there is one; otherwise the tests say what is missing."""

import json
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stylejax
from stylejax.cli.web import server
from stylejax.deploy import page

FOLDER = Path(__file__).parent
NODE = shutil.which("node")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), "")
DRIVER = FOLDER / "node_modules" / "playwright-core"


def pytest_collection_modifyitems(items):
  for item in items:
    if "browse" in getattr(item, "fixturenames", ()):
      item.add_marker("browser")


@pytest.fixture(scope="session")
def stylizer():
  return stylejax.Stylizer()


@pytest.fixture(scope="session")
def files(stylizer):
  """The page's files, made of the shipped weights."""
  pytest.importorskip("onnx", reason="onnx: not installed")
  return page.page_files(stylizer.params)


@pytest.fixture(scope="session")
def browse(files):
  """Runs a scenario of browser.mjs on the served page, and returns what it found."""
  if not NODE:
    pytest.skip("node: not installed")
  if not CHROMIUM:
    pytest.skip("chromium: not installed (apt-get install chromium)")
  if not DRIVER.is_dir():
    pytest.skip(f"playwright-core: not installed (npm install --prefix {FOLDER})")
  bound = server(files, 0)
  thread = threading.Thread(target=bound.serve_forever, daemon=True)
  thread.start()

  def run(scenario, folder, **given):
    given = {"url": f"http://127.0.0.1:{bound.server_address[1]}/", **given}
    given |= {"folder": str(folder), "chromium": CHROMIUM}
    arguments = folder / "arguments.json"
    arguments.write_text(json.dumps(given))
    result = subprocess.run(
      [NODE, str(FOLDER / "browser.mjs"), scenario, str(arguments)],
      capture_output=True,
      text=True,
      timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return {"url": given["url"], **json.loads(result.stdout)}

  yield run
  bound.shutdown()
  thread.join()
  bound.server_close()


def save_image(path, pixels):
  """Writes a file, and returns its path as text."""
  Image.fromarray(pixels).save(path)
  return str(path)


def read_pixels(path):
  return np.asarray(Image.open(path).convert("RGB"))


def levels_apart(path, expected):
  """Largest difference of a file from an image [H, W, 3] in [0, 1], in levels of 8 bits."""
  found = read_pixels(path)
  assert found.shape == expected.shape
  return np.abs(np.rint(255.0 * np.asarray(expected)) - found).max()
