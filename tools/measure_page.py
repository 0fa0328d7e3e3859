"""Times the page in Chromium, alternating with onnxruntime in Python, and measures its memory.

    npm install --prefix /tmp/node playwright-core@1.65.1
    pip install '.[onnx]'
    python tools/measure_page.py --node-folder /tmp/node --output docs/results/page.json

Opens the page, stylizes a photo of 4,000 × 3,000 pixels at the default size and saves it; then
stylizes 1,024 × 1,024 pixels, then 4,000 × 3,000. Times depend on what else this machine is doing;
for the ratio, browser and Python take turns. The same ratio for one matrix product shows how much
of it is due to what WebAssembly can use of the processor.
"""

import dataclasses
import datetime
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import tyro
from onnx import TensorProto, helper
from PIL import Image

import stylejax
from stylejax.cli.web import server
from stylejax.deploy import onnx, page
from stylejax.deploy.export import parts_of
from stylejax.runtime.files import replacing

sys.path.append(str(Path(__file__).parent.parent))
from benchmarks.harness import records

PARTS = ("visit", "square", "limit", "photo")
"""Parts that can be measured separately."""
PRODUCT = (2048, 1024, 1024)
"""Rows, inner size and columns of the matrix product."""


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure, and with what."""

  node_folder: Path
  """Folder in which npm has installed playwright-core."""
  what: Literal["visit", "square", "limit", "photo", "all"] = "all"
  """A visit that ends with a saved image, a square of 1,024 pixels, one matrix product, a photo of
  12 megapixels, or all of these."""
  turns: int = 3
  """Number of turns of browser and Python, for the square and the product."""
  chromium: str = "/usr/bin/chromium"
  """The browser."""
  output: Path | None = None
  """JSON file for the result."""


def main(options: Options) -> None:
  """Prints sizes, times and memory."""
  params = stylejax.load_pretrained()
  files = page.page_files(params)
  with tempfile.TemporaryDirectory(dir=options.node_folder.resolve()) as name:
    folder = Path(name)
    found: dict[str, Any] = {"bytes": _sizes(files, folder)}
    bound = server(files, 0)
    threading.Thread(target=bound.serve_forever, daemon=True).start()
    given = {
      "chromium": options.chromium,
      "disk": (folder / "page.html").as_uri(),
      "saved": str(folder / "saved.png"),
      "served": f"http://127.0.0.1:{bound.server_address[1]}/",
    }
    cat = Image.open(Path(stylejax.__file__).parent / "assets/samples/content/cat.jpg")
    for kind, size in (("square", (1024, 1024)), ("photo", (4000, 3000))):
      given[kind] = str(folder / f"{kind}.png")
      cat.convert("RGB").resize(size).save(given[kind], compress_level=1)
    # Node looks modules up in the folders above the script.
    script = folder / "measure_page.mjs"
    shutil.copy(Path(__file__).with_suffix(".mjs"), script)

    def browse(what: str) -> dict[str, Any]:
      (folder / "arguments.json").write_text(json.dumps({"what": what, **given}))
      command = ["node", str(script), str(folder / "arguments.json")]
      result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
      return json.loads(result.stdout)

    if options.what in ("visit", "all"):
      found["visit"] = visit = browse("visit")
      print(
        f"from the address to a saved painting of 4,000 × 3,000 pixels at the usual size: "
        f"{visit['served']:.1f} s served, {visit['disk']:.1f} s from disk"
      )
    if options.what in ("square", "all"):
      found["square"] = _compare(params, browse, options.turns, given["square"])
    if options.what in ("limit", "all"):
      given["product"] = str(folder / "product.onnx")
      found["limit"] = _compare_products(browse, options.turns, given["product"])
    if options.what in ("photo", "all"):
      found["photo"] = photo = browse("photo")
      print(f"4,000 × 3,000: {photo['status']}")
      print(
        f"memory of all the browser's processes: {photo['before']:.2f} GiB before, "
        f"{photo['most']:.2f} at most, {photo['after']:.2f} afterwards"
      )
    bound.shutdown()
  if options.output is not None:
    write("page", found, options.output)


def _sizes(files: dict[str, bytes], folder: Path) -> dict[str, float]:
  """Writes the page as one file; prints and returns the size of it and of the separate files."""
  text = page.one_file(files)
  (folder / "page.html").write_text(text, encoding="utf-8")
  compressed = {file: len(page._compressed(data)) * 3 // 4 for file, data in files.items()}
  webgpu = sum(size for file, size in compressed.items() if file.startswith("onnxruntime/webgpu"))
  sizes = {
    "one_file": len(text.encode()),
    "files_gzip": sum(compressed.values()) - webgpu,
    "webgpu_gzip": webgpu,
  }
  print(
    f"one file: {sizes['one_file'] / 1e6:.2f} MB; files, each compressed with gzip: "
    f"{sizes['files_gzip'] / 1e6:.2f} MB, and {webgpu / 1e6:.2f} MB for WebGPU"
  )
  return sizes


def write(benchmark: str, found: dict[str, Any], output: Path) -> None:
  """Writes the result to a file, with machine, versions and command.

  Parts of an earlier file that were not measured now stay, with their own date and revision.
  """
  now = {
    "date": datetime.datetime.now(datetime.UTC).isoformat()[:19] + "Z",
    "command": " ".join(["python", *sys.argv]),
    "revision": records.revision(),
  }
  before = json.loads(output.read_text()) if output.exists() else {}
  old = {
    key: {"of": {name: before[name] for name in now}} | value
    for key, value in before.items()
    if key in PARTS and key not in found
  }
  result = {
    "benchmark": benchmark,
    **now,
    "machine": records.machine(),
    "versions": records.versions(),
    **found,
    **old,
  }
  with replacing(output) as temporary:
    temporary.write_text(json.dumps(result, indent=1) + "\n")


def _compare(params, browse, turns: int, photo: str) -> dict[str, Any]:
  """Stylizes in Python and in the browser in turn."""
  model = onnx.model("paint", parts_of("paint", params), params.config)
  session = onnxruntime.InferenceSession(model.SerializeToString(), _two_threads())
  content = np.asarray(Image.open(photo), np.float32)[None] / 255
  inputs = {"content": content, "code": np.zeros(params.config.style_dim, np.float32)}
  inputs["noise_gain"] = np.array(1, np.float32)
  rows = []
  for _ in range(turns):
    before = _seconds(lambda: session.run(None, inputs))
    found = browse("square")
    python = (before + _seconds(lambda: session.run(None, inputs))) / 2
    first, painting = (float(found[k].split("(")[1].split()[0]) for k in ("first", "status"))
    row = {"painting": painting, "python": python, "ratio": painting / python}
    rows.append(found | row | {"first_painting": first})
    print(
      f"page from disk: usable after {found['usable']:.2f} s, engine loaded after "
      f"{found['ready']:.2f} s; sliders at most: strength {max(found['strength']):.0f} ms, "
      f"colors {max(found['color']):.0f} ms"
    )
    print(
      f"painting: {first:.2f} s, then {painting:.2f} s in the browser, {python:.2f} s in Python, "
      f"{painting / python:.2f} times as long ({found['status']})"
    )
  ratio = statistics.median(row["ratio"] for row in rows)
  print(f"median: {ratio:.2f} times as long as onnxruntime in Python")
  return {"ratio": ratio, "turns": rows}


def _compare_products(browse, turns: int, path: str) -> dict[str, Any]:
  """Multiplies matrices in Python and in the browser in turn: GFLOP/s on two threads."""
  Path(path).write_bytes(_product_model().SerializeToString())
  session = onnxruntime.InferenceSession(path, _two_threads())
  inputs = {
    "a": np.ones((PRODUCT[0], PRODUCT[1]), np.float32),
    "b": np.ones((PRODUCT[1], PRODUCT[2]), np.float32),
  }
  operations = 2 * PRODUCT[0] * PRODUCT[1] * PRODUCT[2] / 1e9
  rows = []
  for _ in range(turns):
    python = min(_seconds(lambda: session.run(None, inputs)) for _ in range(8))
    web = browse("limit")["seconds"]
    rows.append({"python": operations / python, "web": operations / web, "ratio": web / python})
  ratio = statistics.median(row["ratio"] for row in rows)
  print(
    f"one product of matrices: {statistics.median(row['web'] for row in rows):.0f} GFLOP/s in the "
    f"browser, {statistics.median(row['python'] for row in rows):.0f} in Python, {ratio:.2f} times "
    "as long"
  )
  return {"product": PRODUCT, "ratio": ratio, "turns": rows}


def _product_model() -> Any:
  """a [M, K] times b [K, N] as an ONNX model."""
  rows, inner, columns = PRODUCT
  shapes = {"a": [rows, inner], "b": [inner, columns], "y": [rows, columns]}
  value = {
    name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    for name, shape in shapes.items()
  }
  graph = helper.make_graph(
    [helper.make_node("MatMul", ["a", "b"], ["y"])],
    "product",
    [value["a"], value["b"]],
    [value["y"]],
  )
  return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _two_threads() -> Any:
  settings = onnxruntime.SessionOptions()
  settings.intra_op_num_threads = 2
  return settings


def _seconds(work) -> float:
  begun = time.perf_counter()
  work()
  return time.perf_counter() - begun


if __name__ == "__main__":
  main(tyro.cli(Options))
