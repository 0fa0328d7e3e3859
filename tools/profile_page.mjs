// The browser's side of profile_page.py: node profile_page.mjs URL CHROMIUM SIDE ROUNDS STYLE_DIM
import {readdirSync, readFileSync} from 'node:fs';
import {chromium} from 'playwright-core';

const [, , url, executablePath, side, rounds, styleDim] = process.argv;

/** Makes `paint()`, which runs the page's stages or the whole model, and `end()`, which prints the profiles. */
async function prepare({whole, side, styleDim}) {
  const ort = await import('/onnxruntime/wasm.mjs');
  const {paint} = await import('/tiles.mjs');
  const bytes = async (name) => (await fetch(name)).arrayBuffer();
  Object.assign(ort.env.wasm, {wasmBinary: await bytes('/onnxruntime/wasm.wasm'), numThreads: 1});
  ort.env.logLevel = 'error';
  const plan = await (await fetch('/models/plan.json')).json();
  const names = whole ? ['paint'] : ['encoder', 'targets', ...plan.stages.map((_, i) => `stage${i}`)];
  const sessions = {};
  for (const name of names) {
    sessions[name] = await ort.InferenceSession.create(await bytes(`/models/${name}.onnx`),
      {executionProviders: ['wasm'], enableProfiling: true});
  }
  const run = async (name, feeds) => {
    const tensors = Object.entries(feeds).map(([tensor, [data, shape]]) =>
      [tensor, new ort.Tensor(data instanceof BigInt64Array ? 'int64' : 'float32', data, shape)]);
    const outputs = await sessions[name].run(Object.fromEntries(tensors));
    return Object.fromEntries(Object.entries(outputs).map(([tensor, {data, dims}]) => [tensor, [data, dims]]));
  };
  const code = new Float32Array(styleDim);
  const image = {width: side, height: side, data: new Uint8ClampedArray(4 * side ** 2).map((_, i) => (i * 37) % 251)};
  const content = Float32Array.from({length: 3 * side ** 2}, (_, i) => ((i * 37) % 251) / 255);
  globalThis.paint = () => whole
    ? run('paint', {content: [content, [1, side, side, 3]], code: [code, [code.length]],
      noise_gain: [new Float32Array([1]), []]})
    : paint(run, plan, image, code, 1, () => {}, side);
  globalThis.end = async () => {
    for (const name of names) {
      console.log(`session ${name}`);
      sessions[name].endProfiling();
      await sessions[name].release();
    }
  };
}

/** CPU milliseconds of all threads of the browser's processes. */
function computed() {
  let total = 0;
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter(Number).map(Number)) {
    try {
      parents.set(pid, Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]));
    } catch { /* it has ended */ }
  }
  const ours = (pid) => pid === server.process().pid || (parents.has(pid) && ours(parents.get(pid)));
  for (const pid of [...parents.keys()].filter(ours)) {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
      }
    } catch { /* it has ended */ }
  }
  return total / 1e6;
}

/** Milliseconds of each operator; each node counts with its least of all rounds. */
function summed(lines) {
  const nodes = new Map();
  let session = '';
  for (const line of lines) {
    if (line.startsWith('session ')) session = line;
    if (!line.startsWith('{')) continue;
    const {cat, name, dur, args} = JSON.parse(line.replace(/,$/, ''));
    if (cat !== 'Node' || !name.endsWith('_kernel_time')) continue;
    const node = `${session} ${args.node_index}`;
    const least = Math.min(dur, nodes.get(node)?.dur ?? Infinity);
    nodes.set(node, {operator: args.op_name, dur: least});
  }
  const found = {};
  for (const {operator, dur} of nodes.values()) found[operator] = (found[operator] ?? 0) + dur / 1000;
  return found;
}

const server = await chromium.launchServer({executablePath, args: ['--no-sandbox']});
const browser = await chromium.connect(server.wsEndpoint());
const columns = {};
for (const [name, whole] of [['page', false], ['exported', true]]) {
  const page = await browser.newPage();
  const lines = [];
  page.on('console', (message) => lines.push(...message.text().split('\n')));
  page.on('pageerror', (error) => console.error(String(error)));
  await page.goto(`${url}licenses/licenses.txt`); // a document without scripts
  await page.evaluate(prepare, {whole, side: Number(side), styleDim: Number(styleDim)});
  columns[name] = {page, lines, milliseconds: []};
}
for (let round = 0; round < rounds; round++) {
  for (const {page, milliseconds} of Object.values(columns)) {
    const before = computed();
    await page.evaluate(() => globalThis.paint().then(() => null));
    milliseconds.push(computed() - before);
  }
}
const found = {chromium: browser.version(), operators: {}, milliseconds: {}};
for (const [name, {page, lines, milliseconds}] of Object.entries(columns)) {
  await page.evaluate(() => globalThis.end());
  found.operators[name] = summed(lines);
  found.milliseconds[name] = milliseconds;
}
console.log(JSON.stringify(found));
await browser.close();
await server.close();
