#!/usr/bin/env bash
# onnxruntime-web 1.30.0, WebGPU: valid models are refused because of how their pads and defaults
# are written.
#
# Expected: what WebAssembly runs, WebGPU runs: Pad with its axes as the fourth input (opset 18), and
# a Conv without the optional attributes.
#
# What happens:
# - A Pad of rows and columns (axes 2 and 3) before a Conv: no session is created, "Can't merge shape
#   info". The runtime converts the net to channels-last and transposes the Pad too, but not its
#   axes. With all eight pads and no axes it runs. Both builds, ort and ort.webgpu.
# - A Conv without dilations: a session is created, and run() rejects with "dilations should be 2D".
#   Only the build ort; with every attribute written out it runs.
#
# For users: write the eight pads, and every attribute of Conv.
#
# Needs Node 20 or later, Python 3.11 or later (PYTHON=...) and a Chromium (CHROMIUM=...); no GPU:
# the adapter is SwiftShader. Output seen:
#   ort.min.mjs          axes  Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: [Shape...
#   ort.min.mjs          eight 16 numbers from 360
#   ort.min.mjs          bare  [WebGPU] Kernel "[Conv] _token_2" failed. Error: dilations ...
#   ort.webgpu.min.mjs   axes  Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: [Shape...
#   ort.webgpu.min.mjs   eight 16 numbers from 360
#   ort.webgpu.min.mjs   bare  16 numbers from 360
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 numpy==2.4.6
cd "$folder"
npm install --silent --no-fund --no-audit playwright-core@1.65.1 onnxruntime-web@1.30.0

venv/bin/python - <<'END'
import numpy as np
from onnx import TensorProto, helper, numpy_helper

FULL = dict(auto_pad="NOTSET", dilations=[1, 1], group=1, kernel_shape=[3, 3], pads=[0, 0, 0, 0],
            strides=[1, 1])


def save(name, pads, axes, attributes):
  constants = {"kernel": np.ones((1, 1, 3, 3), np.float32), "pads": np.array(pads, np.int64)}
  if axes:
    constants["axes"] = np.array(axes, np.int64)
  nodes = []
  for first, last in (("x", "middle"), ("middle", "y")):
    inputs = [first, "pads", *(["", "axes"] if axes else [])]
    nodes += [
      helper.make_node("Pad", inputs, [f"{first}_padded"], mode="reflect"),
      helper.make_node("Conv", [f"{first}_padded", "kernel"], [last], **attributes)]
  x, y = (
    helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, 1, "h", "w"]) for value in "xy")
  tensors = [numpy_helper.from_array(array, key) for key, array in constants.items()]
  model = helper.make_model(
    helper.make_graph(nodes, name, [x], [y], tensors),
    opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
  with open(f"{name}.onnx", "wb") as file:
    file.write(model.SerializeToString())


EIGHT = [0, 0, 1, 1, 0, 0, 1, 1]
save("axes", [1, 1, 1, 1], [2, 3], FULL)
save("eight", EIGHT, None, FULL)
save("bare", EIGHT, None, {})
END

cat > run.mjs <<'END'
import fs from 'node:fs';
import http from 'node:http';
import {chromium} from 'playwright-core';

const types = {'.mjs': 'text/javascript', '.wasm': 'application/wasm'};
const server = http.createServer((request, response) => {
  const name = request.url.slice(1);
  const file = name.startsWith('ort') ? `node_modules/onnxruntime-web/dist/${name}` : name;
  if (!name || !fs.existsSync(file)) {
    response.setHeader('Content-Type', 'text/html');
    return response.end('<!doctype html>');
  }
  const type = types[name.slice(name.lastIndexOf('.'))] ?? 'application/octet-stream';
  response.setHeader('Content-Type', type);
  fs.createReadStream(file).pipe(response);
}).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
});
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
const found = await page.evaluate(async () => {
  const results = {};
  for (const build of ['ort.min.mjs', 'ort.webgpu.min.mjs']) {
    const ort = await import(`/${build}`);
    ort.env.wasm.wasmPaths = '/';
    ort.env.wasm.numThreads = 1;
    for (const model of ['axes', 'eight', 'bare']) {
      try {
        const session = await ort.InferenceSession.create(
          `/${model}.onnx`, {executionProviders: ['webgpu']});
        const x = new ort.Tensor('float32', Float32Array.from({length: 16}, (_, i) => i), [1, 1, 4, 4]);
        const {y} = await session.run({x});
        results[`${build.padEnd(20)} ${model.padEnd(5)}`] = `${y.data.length} numbers from ${y.data[0]}`;
      } catch (error) {
        results[`${build.padEnd(20)} ${model.padEnd(5)}`] = error.message.split('\n')[0];
      }
    }
  }
  return results;
});
await browser.close();
server.close();
const refused = [];
for (const [name, result] of Object.entries(found)) {
  console.log(name, result.slice(0, 100));
  if (!result.includes('numbers')) refused.push(name.split(/ +/).slice(0, 2).join(' '));
}
if (refused.join() !== 'ort.min.mjs axes,ort.min.mjs bare,ort.webgpu.min.mjs axes') {
  console.error('the behavior is no longer what is stated');
  process.exit(1);
}
END
timeout 120 node run.mjs
