#!/usr/bin/env bash
# onnxruntime-web 1.30.0, WebGPU of its default build: a Concat of eight inputs gives zeros.
#
# Expected: [1], [2], ... [8] are joined to 1 2 3 4 5 6 7 8, or run() rejects.
#
# What happens: a device that is created without higher limits has eight storage buffers per shader.
# The ninth (eight inputs and the output) makes the pipeline invalid; run() resolves nevertheless,
# and the result is zeros. The only sign is a message in the console: "The number of storage buffers
# (9) in the Compute stage exceeds the maximum per-stage limit (8)". Seven inputs are joined
# correctly. The build ort.webgpu asks for the adapter's own limit, ten here, and is right; it was
# not tried with an adapter that has no more than eight, which is all that WebGPU guarantees.
#
# For users: nest Concat (and Sum, Max, Min of many inputs) in groups of at most seven, and compare
# WebGPU's results with WebAssembly's before trusting them.
#
# Needs Node 20 or later, Python 3.11 or later (PYTHON=...) and a Chromium (CHROMIUM=...); no GPU:
# the adapter is SwiftShader. Output seen:
#   7 inputs: 1 2 3 4 5 6 7
#   8 inputs: 0 0 0 0 0 0 0 0
#   console: An uncaught WebGPU validation error was raised: The number of storage buffers (9) in
#     the Compute stage exceeds the maximum per-stage limit (8). ...
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 numpy==2.4.6
cd "$folder"
npm install --silent --no-fund --no-audit playwright-core@1.65.1 onnxruntime-web@1.30.0

venv/bin/python - <<'END'
from onnx import TensorProto, helper

for count in (7, 8):
  tensors = [
    helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, [1]) for i in range(1, count + 1)]
  node = helper.make_node("Concat", [tensor.name for tensor in tensors], ["y"], axis=0)
  output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [count])
  model = helper.make_model(
    helper.make_graph([node], "concat", tensors, [output]),
    opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
  with open(f"concat{count}.onnx", "wb") as file:
    file.write(model.SerializeToString())
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
const said = [];
page.on('console', (message) => said.push(message.text()));
await page.goto(`http://127.0.0.1:${server.address().port}/`);
const found = await page.evaluate(async (build) => {
  const ort = await import(`/${build}`);
  ort.env.wasm.wasmPaths = '/';
  ort.env.wasm.numThreads = 1;
  const results = {};
  for (const count of [7, 8]) {
    const session = await ort.InferenceSession.create(
      `/concat${count}.onnx`, {executionProviders: ['webgpu']});
    const feeds = {};
    for (let i = 1; i <= count; i++) feeds[`x${i}`] = new ort.Tensor('float32', [i], [1]);
    try {
      results[count] = [...(await session.run(feeds)).y.data].join(' ');
    } catch (error) {
      results[count] = `refused: ${error.message.split('\n')[0]}`;
    }
  }
  return results;
}, 'ort.min.mjs');
await browser.close();
server.close();
console.log(`7 inputs: ${found[7]}`);
console.log(`8 inputs: ${found[8]}`);
const message = said.find((text) => /storage buffers/.test(text)) ?? 'nothing about storage buffers';
console.log(`console: ${message.split('\n')[0].slice(0, 160)}`);
const same = found[7] === '1 2 3 4 5 6 7' && found[8] === '0 0 0 0 0 0 0 0' && /limit/.test(message);
if (!same) {
  console.error('the behavior is no longer what is stated');
  process.exit(1);
}
END
timeout 120 node run.mjs
