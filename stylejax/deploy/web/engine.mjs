// What the page is made of besides its own code, and the worker that paints: where the files come
// from (beside the page, or inside it), and how a painting is started and cancelled.

/** A part of the page by its name: bytes that lie inside the page, or a file beside it. */
async function part(name) {
  const element = document.getElementById(`part:${name}`);
  if (!element) {
    const response = await fetch(name);
    if (!response.ok) throw new Error(`The page’s file ${name} is missing. Reload the page.`);
    return response.arrayBuffer();
  }
  const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

/** A URL for a part, for an image or a module. */
async function partUrl(name, type) {
  if (!document.getElementById(`part:${name}`)) return new URL(name, document.baseURI).href;
  return URL.createObjectURL(new Blob([await part(name)], {type}));
}

export const sampleUrl = (name) => partUrl(`samples/${name}`, 'image/jpeg');

/** The licenses of what the page is made of. */
export const licenses = async () => new TextDecoder().decode(await part('licenses/licenses.txt'));

/** Whether the page is one file, which can't have threads or the engine for WebGPU. */
export const inOneFile = () => Boolean(document.getElementById('part:worker.js'));

/** How many threads the browser lets this page have. */
export const threads = () =>
  globalThis.crossOriginIsolated ? Math.max(1, Math.min(navigator.hardwareConcurrency || 1, 8)) : 1;

/** Why WebGPU can't be used here, in a sentence; null if it can. */
export async function whyNoWebGpu() {
  if (inOneFile()) return 'WebGPU is available in the page that “stylejax web” serves, not in this file.';
  if (!navigator.gpu || !WebAssembly.Suspending) return 'This browser doesn’t offer WebGPU to this page.';
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  return adapter ? null : 'This browser finds no graphics processor.';
}

let loaded = null;

/** Loads everything that a painting with WebAssembly needs; later calls give the same. */
export function load() {
  loaded ??= loadAll().catch((error) => {
    loaded = null;
    throw error;
  });
  return loaded;
}

async function loadAll() {
  const plan = JSON.parse(new TextDecoder().decode(await part('models/plan.json')));
  const names = ['style', 'encoder', 'targets', ...plan.stages.map((_, i) => `stage${i}`)];
  const models = Object.fromEntries(await Promise.all(
    names.map(async (name) => [name, await part(`models/${name}.onnx`)])));
  return {plan, models, worker: await partUrl(inOneFile() ? 'worker.js' : 'worker.mjs', 'text/javascript'),
    wasm: await engine('wasm')};
}

// Browsers compile the same bytes once as long as a module of them is alive. Without one here each
// painting's worker would compile its own, which takes longer than a small painting.
const compiled = [];

async function engine(name) {
  const wasm = await part(`onnxruntime/${name}.wasm`);
  compiled.push(WebAssembly.compile(wasm).catch(() => null));
  return {module: new URL(`onnxruntime/${name}.mjs`, document.baseURI).href, wasm};
}

let webgpu = null;

/**
 * Starts a painting: {result, cancel}. `result` is a promise of what worker.mjs gives; it is
 * rejected with an error whose message is a sentence, or by `cancel` with one named AbortError.
 */
export function start(job, provider, onProgress) {
  warming?.cancel();
  return launch(job, provider, onProgress);
}

let warming = null;

/** Paints a small empty image: by then the browser has compiled what a painting spends its time in. */
export async function warmUp() {
  const canvas = new OffscreenCanvas(256, 256);
  canvas.getContext('2d');
  const blob = await canvas.convertToBlob();
  warming = launch({photo: blob, longer: 0, styleSide: 256, weights: [1], noiseGain: 1, styles: [{blob}]},
    'wasm', () => {});
  await warming.result.catch(() => null); // what is wrong is said when somebody paints
}

function launch(job, provider, onProgress) {
  let worker = null;
  let cancel;
  const cancelled = new Promise((_, reject) => {
    cancel = () => reject(new DOMException('Canceled.', 'AbortError'));
  });
  const work = async () => {
    const {plan, models, worker: url, wasm} = await load();
    if (provider === 'webgpu') webgpu ??= await engine('webgpu');
    // A page from disk may not start modules in workers; its worker holds the engine, too.
    worker = new Worker(url, {type: inOneFile() ? 'classic' : 'module'});
    return new Promise((resolve, reject) => {
      worker.onmessage = ({data}) => {
        if (data.result) resolve(data.result);
        else if (data.error) reject(new Error(data.out ? tooLarge(data.error) : data.error));
        else onProgress(data.step, data.share);
      };
      worker.onerror = (event) => reject(new Error(event.message || 'The painting stopped.'));
      const engine = {...(provider === 'webgpu' ? webgpu : wasm), threads: threads(), provider};
      worker.postMessage({engine, models, plan, job});
    });
  };
  const result = Promise.race([work(), cancelled]).finally(() => worker?.terminate());
  return {result, cancel};
}

const tooLarge = (error) =>
  `There was too little memory for this size. Choose a smaller one and paint again. (${error})`;
