"""Times the page's models operator by operator, in Chromium and with onnxruntime in Python.

    npm install --prefix /tmp/node playwright-core@1.65.1
    pip install '.[onnx]'
    python tools/profile_page.py --node-folder /tmp/node --output docs/results/page_operators.json

Runs on one thread, with the image as one tile. Shown are each operator's wall-clock time, of each
node the least of all rounds, and the least CPU time of a whole image, which other programs hardly
affect. The three columns are the page's models in WebAssembly, the exported model "paint" there,
and the same in Python.
"""

import collections
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime
import tyro

import stylejax
from stylejax.cli.web import server
from stylejax.deploy import onnx, page
from stylejax.deploy.export import parts_of

sys.path.append(str(Path(__file__).parent.parent))
from tools.measure_page import write


@dataclasses.dataclass(frozen=True)
class Options:
  """What to run, and with what."""

  node_folder: Path
  """Folder in which npm has installed playwright-core."""
  side: int = 1024
  """Side of the square image, in pixels."""
  rounds: int = 6
  """How often everything runs."""
  chromium: str = "/usr/bin/chromium"
  """The browser."""
  output: Path | None = None
  """JSON file for the result."""


def main(options: Options) -> None:
  """Prints milliseconds of each operator."""
  params = stylejax.load_pretrained()
  model = onnx.model("paint", parts_of("paint", params), params.config).SerializeToString()
  files = page.page_files(params) | {"models/paint.onnx": model}
  bound = server(files, 0)
  threading.Thread(target=bound.serve_forever, daemon=True).start()
  given = f"http://127.0.0.1:{bound.server_address[1]}/", options.chromium
  sizes = options.side, options.rounds, params.config.style_dim
  with tempfile.TemporaryDirectory(dir=options.node_folder.resolve()) as folder:
    # Node looks modules up in the folders above the script.
    script = Path(folder) / "profile_page.mjs"
    shutil.copy(Path(__file__).with_suffix(".mjs"), script)
    command = ["node", str(script), *given, *map(str, sizes)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
  bound.shutdown()
  found = json.loads(result.stdout)
  by_operator, milliseconds = _in_python(model, options, params.config.style_dim)
  found["operators"]["python"], found["milliseconds"]["python"] = by_operator, milliseconds
  columns = found["operators"]
  print(f"{'milliseconds':16}" + "".join(f"{column:>10}" for column in columns))
  operators = sorted(set().union(*columns.values()))
  operators.sort(key=lambda name: -max(column.get(name, 0) for column in columns.values()))
  for name in operators:
    print(f"{name:16}" + "".join(f"{column.get(name, 0):10.1f}" for column in columns.values()))
  least = {column: min(found["milliseconds"][column]) for column in columns}
  print(f"{'CPU time, all':16}" + "".join(f"{least[column]:10.1f}" for column in columns))
  found["ratio"] = {column: least[column] / least["python"] for column in columns}
  print(f"{'of Python':16}" + "".join(f"{ratio:10.2f}" for ratio in found["ratio"].values()))
  if options.output is not None:
    write("page_operators", found, options.output)


def _in_python(
  model: bytes, options: Options, style_dim: int
) -> tuple[dict[str, float], list[float]]:
  """Milliseconds of each operator by onnxruntime's profiler, and CPU milliseconds of each round."""
  settings = onnxruntime.SessionOptions()
  settings.intra_op_num_threads, settings.enable_profiling = 1, True
  side = options.side
  content = np.arange(3 * side**2, dtype=np.float32).reshape(1, side, side, 3) * 37 % 251 / 255
  inputs = {"content": content, "code": np.zeros(style_dim, np.float32)}
  inputs["noise_gain"] = np.array(1, np.float32)
  with tempfile.TemporaryDirectory() as folder:
    settings.profile_file_prefix = str(Path(folder) / "profile")
    session = onnxruntime.InferenceSession(model, settings)
    milliseconds = []
    for _ in range(options.rounds):
      begun = time.process_time()
      session.run(None, inputs)
      milliseconds.append(1000 * (time.process_time() - begun))
    events = json.loads(Path(session.end_profiling()).read_text())
  least: dict[tuple[str, str], float] = {}
  for event in events:
    if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
      node = event["args"]["op_name"], event["args"]["node_index"]
      least[node] = min(event["dur"] / 1000, least.get(node, np.inf))
  found: dict[str, float] = collections.defaultdict(float)
  for (operator, _), duration in least.items():
    found[operator] += duration
  return dict(found), milliseconds


if __name__ == "__main__":
  main(tyro.cli(Options))
