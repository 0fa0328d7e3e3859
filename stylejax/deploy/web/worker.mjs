// One painting, in a thread of its own, which the page ends afterwards: only then does the browser
// get the memory back that the networks took.

import {decode, fit, resize, stylePixels, toFloats} from './images.mjs';
import {paint} from './tiles.mjs';

const PREVIEW = 1600; // pixels of the longer side of what is shown of a large painting

self.onmessage = async ({data}) => {
  try {
    const {result, transfer} = await work(data);
    self.postMessage({result}, transfer);
  } catch (error) {
    self.postMessage({error: String(error?.message ?? error), out: outOfMemory(error)});
  }
};

const outOfMemory = (error) =>
  error instanceof RangeError || /memory|allocat|bad_alloc/i.test(String(error?.message ?? error));

async function work({engine, models, plan, job}) {
  const started = performance.now();
  const say = (step, share = 0) => self.postMessage({step, share});
  say('Starting');
  const decoded = decode(job.photo);
  decoded.catch(() => null); // it is awaited below
  const known = job.styles.every((style) => style.code);
  const run = await starter(engine, models, (name) => name !== 'style' || !known);
  say('Reading the photo');
  const image = content(await decoded, job.longer);
  const codes = [];
  for (const style of job.styles) {
    say('Reading the style');
    codes.push(style.code ?? (await encodeStyle(run, style.blob, job.styleSide)));
  }
  const code = mix(codes, job.weights);
  const begun = performance.now();
  const stylized = await paint(run, plan, image, code, job.noiseGain,
    (share) => say('Painting', share), job.tileSide);
  const seconds = {all: (performance.now() - started) / 1000, painting: (performance.now() - begun) / 1000};
  const [width, height] = fit(image.width, image.height, PREVIEW);
  const preview = width === image.width ? null : previewOf(image, stylized, width, height);
  const result = {content: image, stylized, preview, codes, seconds};
  return {result, transfer: [image.data.buffer, stylized.buffer]};
}

/** What runs the models by name, with those loaded that are needed. */
async function starter({module, wasm, threads, provider}, models, isNeeded) {
  const ort = globalThis.onnxruntime ?? (await import(module));
  Object.assign(ort.env.wasm, {wasmBinary: wasm, numThreads: threads});
  ort.env.logLevel = 'error';
  const sessions = {};
  for (const name of Object.keys(models).filter(isNeeded)) {
    sessions[name] = await ort.InferenceSession.create(models[name], {executionProviders: [provider]});
  }
  return async (name, feeds) => {
    const tensors = {};
    for (const [tensor, [data, shape]] of Object.entries(feeds)) {
      tensors[tensor] = new ort.Tensor(data instanceof BigInt64Array ? 'int64' : 'float32', data, shape);
    }
    const outputs = await sessions[name].run(tensors);
    return Object.fromEntries(
      Object.entries(outputs).map(([tensor, {data, dims}]) => [tensor, [data, dims]]));
  };
}

function content(image, longer) {
  const [width, height] = fit(image.width, image.height, longer);
  const {data, ...size} = resize(image, width, height);
  return {data, width: size.width, height: size.height};
}

async function encodeStyle(run, blob, side) {
  const {code} = await run('style', {style: toFloats(stylePixels(await decode(blob), side))});
  return code[0];
}

/** The code of a mixture of styles, by weights that sum to 1. */
function mix(codes, weights) {
  return codes[0].map((_, i) => codes.reduce((sum, code, s) => sum + weights[s] * code[i], 0));
}

/** Both images at the size of the screen, in 8 and in 16 bits. */
function previewOf(image, stylized, width, height) {
  const bytes = new Uint8ClampedArray(4 * image.width * image.height);
  for (let from = 0, to = 0; from < stylized.length; to += 4) {
    for (let channel = 0; channel < 3; channel++) bytes[to + channel] = stylized[from++] / 257;
    bytes[to + 3] = 255;
  }
  const small = resize({data: bytes, width: image.width, height: image.height}, width, height).data;
  const wide = new Uint16Array(3 * width * height);
  for (let from = 0, to = 0; to < wide.length; from += 4) {
    for (let channel = 0; channel < 3; channel++) wide[to++] = 257 * small[from + channel];
  }
  return {content: resize(image, width, height), stylized: wide};
}
