"""Runs exported ONNX files with onnxruntime-web in Chromium, and compares them with the package.

    npm install --prefix /tmp/node onnxruntime-web@1.30.0 playwright-core@1.65.1
    python tools/check_in_browser.py --node-folder /tmp/node
    python tools/check_in_browser.py --node-folder /tmp/node --provider webgpu --sizes 64x64 75x53
    python tools/check_in_browser.py --node-folder /tmp/node --sizes 2048x2048 \\
        --output docs/results/in_browser.json

Takes minutes, and needs Node and Chromium. WebGPU runs on SwiftShader, a software adapter. The
browser's side is check_in_browser.mjs beside this file.
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

sys.path.append(str(Path(__file__).parent.parent))
from tools.measure_page import write

SAMPLES = Path(stylejax.__file__).parent / "assets" / "samples"


@dataclasses.dataclass(frozen=True)
class Options:
  """What to run, and where."""

  node_folder: Path
  """Folder in which npm has installed onnxruntime-web and playwright-core."""
  provider: Literal["wasm", "webgpu"] = "wasm"
  """Where models run: in WebAssembly on two threads, or in WebGPU."""
  sizes: tuple[str, ...] = ("64x64", "75x53", "256x256", "512x384")
  """Widths and heights of the contents."""
  functions: tuple[str, ...] = tuple(FUNCTIONS)
  """Exported functions to check."""
  chromium: str = "/usr/bin/chromium"
  """The browser."""
  output: Path | None = None
  """JSON file for the result."""


def write_cases(folder: Path, options: Options) -> None:
  """Writes inputs of every function at every size, and the package's outputs, as float32 files."""
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
  """Prints the largest difference of every output; returns 1 if the browser failed."""
  with tempfile.TemporaryDirectory(dir=options.node_folder.resolve()) as name:
    folder = Path(name)
    write_cases(folder, options)
    # Node looks modules up in the folders above the script.
    script = folder / "check_in_browser.mjs"
    shutil.copy(Path(__file__).with_suffix(".mjs"), script)
    command = ["node", str(script), str(folder), options.provider, options.chromium]
    result = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
  if result.returncode:
    return 1
  found = json.loads(result.stdout)
  print(f"Chromium {found['chromium']}, onnxruntime-web {found['onnxruntime_web']}")
  for case in found["cases"]:
    differences = [
      f"{tensor} {off['largest']:.1e}" + (f" of {off['scale']:.0f}" if off["scale"] > 1 else "")
      for tensor, off in case["differences"].items()
    ]
    print(f"{case['function']}, {case['about']}: {', '.join(differences)}")
  if options.output is not None:
    write("in_browser", found, options.output)
  return 0


if __name__ == "__main__":
  sys.exit(main(tyro.cli(Options)))
