"""Examples for apps without stylejax: exported files in Python, in JavaScript, in ComfyUI."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import stylejax
from stylejax.controls.strength import blend_with_content

FOLDER = Path(__file__).parents[2] / "examples"
NODE = shutil.which("node")

# A name that is None in sys.modules can't be imported.
STRANGER = """
import runpy, sys
for name in ("stylejax", "jax", "flax", "onnx"):
  sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def app(tiny_params, tmp_path_factory):
  """A folder with both files, a photo and two artworks that have the shorter side of styles."""
  folder, rng = tmp_path_factory.mktemp("app"), np.random.default_rng(0)
  for name, function in (("style.onnx", "encode_style"), ("paint.onnx", "paint")):
    stylejax.export(tiny_params, folder / name, function=function, sizes=((24, 17),))
  for name, shape in (("photo", (37, 54)), ("one", (320, 340)), ("two", (350, 320))):
    pixels = rng.integers(0, 256, (*shape, 3), np.uint8)
    Image.fromarray(pixels if name != "two" else pixels // 2).save(folder / f"{name}.png")
  return folder


def pixels(path):
  return np.asarray(Image.open(path).convert("RGB"), np.float32) / 255


def expected(params, app, strength, weights):
  return jax.jit(stylejax.stylize)(
    params,
    pixels(app / "photo.png"),
    [pixels(app / "one.png"), pixels(app / "two.png")],
    weights=np.float32(weights),
    strength=strength,
  )


def run(arguments, folder):
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  return subprocess.run(
    arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
  )


@pytest.mark.parametrize("strength", [0.6, 1.0, 1.7])
def test_python_with_onnxruntime_alone(strength, app, tiny_params):
  arguments = ["photo.png", "one.png", "out.png", "--other", "two.png", "--mix", "0.3"]
  arguments = [str(FOLDER / "onnx_app.py"), *arguments, "--strength", str(strength)]
  result = run([sys.executable, "-P", "-c", STRANGER, *arguments], app)
  assert result.returncode == 0, result.stderr
  apart = 255 * np.abs(pixels(app / "out.png") - expected(tiny_params, app, strength, [0.7, 0.3]))
  assert apart.max() < 0.51


@pytest.mark.skipif(NODE is None, reason="node: not installed")
def test_the_arithmetic_in_javascript(rng, tmp_path):
  content = rng.integers(0, 256, (5, 7, 4), np.uint8)
  stylized = rng.random((5, 7, 3), np.float32)
  (tmp_path / "in.json").write_text(
    json.dumps({"content": content.ravel().tolist(), "stylized": stylized.ravel().tolist()})
  )
  shutil.copy(FOLDER / "javascript/stylejax.mjs", tmp_path)
  (tmp_path / "run.mjs").write_text("""
    import {readFileSync} from 'node:fs';
    import {blend, mix, toFloats} from './stylejax.mjs';
    const {content, stylized} = JSON.parse(readFileSync('in.json'));
    const image = {data: Uint8ClampedArray.from(content), width: 7, height: 5};
    console.log(JSON.stringify({
      floats: [...toFloats(image)],
      blended: [...blend(Float32Array.from(stylized), image, 0.4).data],
      mixed: [...mix([[1, 2], [5, 10]], [3, 1])],
    }));
  """)
  result = run([NODE, "run.mjs"], tmp_path)
  assert result.returncode == 0, result.stderr
  found = json.loads(result.stdout)
  rgb = content[..., :3].astype(np.float32) / 255
  np.testing.assert_allclose(np.reshape(found["floats"], (5, 7, 3)), rgb, atol=1e-7)
  blended = np.reshape(found["blended"], (5, 7, 4))
  np.testing.assert_array_equal(blended[..., 3], content[..., 3])
  mixture = 255 * np.asarray(blend_with_content(stylized, rgb, 0.4))
  assert np.abs(blended[..., :3] - mixture).max() < 0.51
  assert found["mixed"] == [2, 4]


@pytest.mark.skipif(
  NODE is None or not (FOLDER / "javascript/node_modules").is_dir(),
  reason="node: needs `npm install` in examples/javascript",
)
@pytest.mark.parametrize("strength", [0.6, 1.7])
def test_javascript_with_onnxruntime_web(strength, app, tiny_params):
  arguments = ["photo.png", "one.png", "web.png", str(strength), "two.png", "0.3"]
  result = run([NODE, str(FOLDER / "javascript/paint.mjs"), *arguments], app)
  assert result.returncode == 0, result.stderr
  apart = 255 * np.abs(pixels(app / "web.png") - expected(tiny_params, app, strength, [0.7, 0.3]))
  assert apart.max() < 0.51


@pytest.fixture
def comfyui(app):
  """The custom node as ComfyUI imports it, from a copy of its folder that has the files."""
  folder = app / "stylejax_node"
  shutil.copytree(FOLDER / "comfyui", folder, dirs_exist_ok=True)
  for name in ("style.onnx", "paint.onnx"):
    shutil.copy(app / name, folder)
  spec = importlib.util.spec_from_file_location("stylejax_node", folder / "__init__.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.torch
@pytest.mark.parametrize("strength", [0.0, 0.6, 1.7])
def test_the_node_of_comfyui(strength, comfyui, app, tiny_params):
  import torch

  def tensor(name):
    return torch.from_numpy(pixels(app / name))[None]

  node = comfyui.NODE_CLASS_MAPPINGS["StylejaxStylize"]
  inputs = {
    "content": tensor("photo.png").repeat(2, 1, 1, 1),
    "style": tensor("one.png"),
    "strength": strength,
    "other_style": tensor("two.png"),
    "mix": 0.3,
  }
  types = node.INPUT_TYPES()
  assert set(inputs) == {*types["required"], *types["optional"]}
  (images,) = getattr(node(), node.FUNCTION)(**inputs)
  assert images.dtype == torch.float32 and images.shape == (2, 37, 54, 3)
  stylized = expected(tiny_params, app, strength, [0.7, 0.3])
  np.testing.assert_allclose(images[1], stylized, atol=1e-5)


def test_the_node_of_comfyui_says_which_file_is_missing(comfyui):
  Path(comfyui.FOLDER / "style.onnx").unlink()
  with pytest.raises(FileNotFoundError, match=r"style.onnx, expected a file of `stylejax export`"):
    comfyui.session("style.onnx")
