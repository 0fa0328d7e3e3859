// Stylizes a photo in Node, on the CPU:
//
//   npm install
//   node paint.mjs photo.jpg painting.jpg stylized.png [strength] [other.jpg share]
//
// style.onnx and paint.onnx must be in the current folder; stylejax.mjs says how to make them.

import {readFile} from 'node:fs/promises';
import * as ort from 'onnxruntime-web';
import sharp from 'sharp';
import {load, mix} from './stylejax.mjs';

const STYLE_SIDE = 320; // pixels of a style's shorter side; the larger, the larger the strokes

/** A file as RGBA bytes, upright and in sRGB. */
async function read(file, shorter) {
  let image = sharp(file).rotate().toColorspace('srgb').ensureAlpha();
  if (shorter) image = image.resize(shorter, shorter, {fit: 'outside'});
  const {data, info} = await image.raw().toBuffer({resolveWithObject: true});
  return {data, width: info.width, height: info.height};
}

const [photo, painting, output, strength = '1', other, share = '0.5'] = process.argv.slice(2);
if (!output) {
  console.error('usage: node paint.mjs photo.jpg painting.jpg stylized.png [strength] [other.jpg share]');
  process.exit(2);
}
const painter = await load(ort, await readFile('style.onnx'), await readFile('paint.onnx'));
let code = await painter.encodeStyle(await read(painting, STYLE_SIDE));
if (other) {
  const second = await painter.encodeStyle(await read(other, STYLE_SIDE));
  code = mix([code, second], [1 - share, Number(share)]);
}
const {data, width, height} = await painter.stylize(await read(photo), code, Number(strength));
await sharp(data, {raw: {width, height, channels: 4}}).toFile(output);
