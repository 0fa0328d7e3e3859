"""Runs exported ONNX files by onnxruntime-web in Chromium, and compares with the package.

    npm install --prefix /tmp/node onnxruntime-web@1.30.0 playwright-core@1.65.1
    python tools/check_in_browser.py --node-folder /tmp/node
    python tools/check_in_browser.py --node-folder /tmp/node --provider webgpu --sizes 64x64 75x53

Takes minutes, and needs Node and Chromium. WebGPU runs on SwiftShader, an adapter in software. What
happens in the browser is in check_in_browser.mjs beside this.
"""

import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

import stylejax
from stylejax.deploy.functions import FUNCTIONS, Sample
from stylejax.images import encode
from stylejax.images.decode import read_image
from stylejax.runtime.jit import fast_jit

SAMPLES = Path(stylejax.__file__).parent / "assets" / "samples"


@dataclasses.dataclass(frozen=True)
class Options:
  """What to run, and where."""

  node_folder: Path
  """Folder in which npm has installed onnxruntime-web and playwright-core."""
  provider: Literal["wasm", "webgpu"] = "wasm"
  """What computes: WebAssembly on two threads, or WebGPU."""
  sizes: tuple[str, ...] = ("64x64", "75x53", "256x256", "512x384")
  """Widths and heights of the contents."""
  functions: tuple[str, ...] = tuple(FUNCTIONS)
  """Which exported functions."""
  chromium: str = "/usr/bin/chromium"
  """The browser."""


def write_cases(folder: Path, options: Options) -> None:
  """Inputs of every function at every size, and what the package gives, as float32 files."""
  params, cases = stylejax.load_pretrained(), []
  photo = read_image(SAMPLES / "content" / "cat.jpg")
  painting = read_image(SAMPLES / "style" / "great_wave.jpg")
  small = encode.resize(painting, 256, 256).rgb
  code = np.asarray(fast_jit(stylejax.encode_style)(params, small).vector)
  for text in options.sizes:
    width, height = map(int, text.split("x"))
    content = encode.resize(photo, height, width).rgb[None]
    sample = Sample(content, encode.resize(painting, height + 3, width + 5).rgb, code)
    for name in options.functions:
      function, outputs = FUNCTIONS[name], None
      signature = function.signature(params.config)
      for trial in range(function.trials):
        inputs = function.trial(params.config, sample, outputs)
        outputs = tuple(map(np.asarray, fast_jit(function.call)(params, *inputs)))
        case = {"function": name, "about": f"{text}, call {trial + 1}"}
        for kind, names, arrays in (
          ("inputs", signature.inputs, inputs),
          ("outputs", signature.outputs, outputs),
        ):
          case[kind] = {}
          for tensor, array in zip(names, arrays, strict=True):
            file = f"{len(cases)}_{kind}_{tensor}.f32"
            np.asarray(array, np.float32).tofile(folder / file)
            case[kind][tensor] = {"file": file, "shape": list(np.shape(array))}
        cases.append(case)
  (folder / "cases.json").write_text(json.dumps(cases))
  for name in options.functions:
    stylejax.export(params, folder / f"{name}.onnx", function=name, sizes=((64, 64),))


def main(options: Options) -> int:
  """Prints the largest difference of every output; 1 if the browser could not run something."""
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    write_cases(folder, options)
    # Modules are looked up from where the script lies.
    script = options.node_folder / "check_in_browser.mjs"
    shutil.copy(Path(__file__).with_suffix(".mjs"), script)
    return subprocess.run(
      ["node", str(script), str(folder), options.provider, options.chromium], check=False
    ).returncode


if __name__ == "__main__":
  sys.exit(main(tyro.cli(Options)))
