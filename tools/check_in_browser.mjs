// The browser's side of check_in_browser.py: node check_in_browser.mjs FOLDER PROVIDER CHROMIUM
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';

const [, , cases, provider, executablePath] = process.argv;
const packages = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules');
const folders = {
  '/ort/': path.join(packages, 'onnxruntime-web', 'dist'),
  '/cases/': cases,
};
const types = {'.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json'};

const server = http.createServer((request, response) => {
  // A page needs these two headers to use threads.
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
  const prefix = Object.keys(folders).find((start) => request.url.startsWith(start));
  if (!prefix) {
    response.setHeader('Content-Type', 'text/html');
    return response.end('<!doctype html><title>check</title>');
  }
  const file = path.join(folders[prefix], path.basename(request.url));
  response.setHeader('Content-Type', types[path.extname(file)] || 'application/octet-stream');
  fs.createReadStream(file).on('error', () => response.writeHead(404).end()).pipe(response);
}).listen(0, '127.0.0.1');

async function compare(provider) {
  const ort = await import(provider === 'webgpu' ? '/ort/ort.webgpu.min.mjs' : '/ort/ort.min.mjs');
  ort.env.wasm.wasmPaths = '/ort/';
  ort.env.wasm.numThreads = 2;
  const floats = async (name) =>
    new Float32Array(await (await fetch(`/cases/${name}`)).arrayBuffer());
  const found = {onnxruntime_web: ort.env.versions.web, provider, cases: []};
  const sessions = {};
  for (const one of await (await fetch('/cases/cases.json')).json()) {
    const name = one.function;
    sessions[name] ??= await ort.InferenceSession.create(`/cases/${name}.onnx`, {
      executionProviders: [provider],
    });
    const feeds = {};
    for (const [tensor, {file, shape}] of Object.entries(one.inputs)) {
      feeds[tensor] = new ort.Tensor('float32', await floats(file), shape);
    }
    const results = await sessions[name].run(feeds);
    const differences = {};
    for (const [tensor, {file}] of Object.entries(one.outputs)) {
      const [expected, actual] = [await floats(file), results[tensor].data];
      if (expected.length !== actual.length) throw new Error(`${name}, ${tensor}: another length`);
      let largest = 0;
      let scale = 1;
      expected.forEach((value, i) => {
        const difference = Math.abs(value - actual[i]);
        if (!(difference <= largest)) largest = difference;  // also NaN
        scale = Math.max(scale, Math.abs(value));
      });
      differences[tensor] = {largest, scale};
    }
    found.cases.push({function: name, about: one.about, differences});
  }
  return found;
}

const args = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
const browser = await chromium.launch({executablePath, args});
try {
  const page = await browser.newPage();
  page.on('console', (message) => console.error(`console: ${message.text().slice(0, 300)}`));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const found = await page.evaluate(compare, provider);
  console.log(JSON.stringify({chromium: browser.version(), ...found}));
} catch (error) {
  console.error(`error: ${String(error.message || error).slice(0, 500)}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  server.close();
}
