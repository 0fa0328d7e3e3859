// Two files of `stylejax export` in JavaScript, in a browser or in Node: no server, no upload.
//
//   stylejax export style.onnx --function encode_style
//   stylejax export paint.onnx --function paint
//
// Images are ImageData or anything of the same shape: {data: RGBA bytes, width, height}. `ort` is
// onnxruntime-web or onnxruntime-node; paint.mjs is a program for Node that uses this file.

/** The two models, loaded once. `style` and `paint` are URLs, paths or bytes. */
export async function load(ort, style, paint, options = {executionProviders: ['wasm']}) {
  const [styleSession, paintSession] = await Promise.all([
    ort.InferenceSession.create(style, options),
    ort.InferenceSession.create(paint, options),
  ]);

  /** The code of a style image, a Float32Array of 256; read it at a shorter side of about 320. */
  async function encodeStyle(image) {
    const style = new ort.Tensor('float32', toFloats(image), [image.height, image.width, 3]);
    return (await styleSession.run({style})).code.data;
  }

  /** An image of the content's size in the style of a code. Strength is 0 to 2. */
  async function stylize(image, code, strength = 1) {
    const shape = [1, image.height, image.width, 3];
    const {stylized} = await paintSession.run({
      content: new ort.Tensor('float32', toFloats(image), shape),
      code: new ort.Tensor('float32', code, [code.length]),
      // Beyond 1 the noise grows; below 1 the content shows through, see `blend`.
      noise_gain: new ort.Tensor('float32', [Math.max(strength, 1)], []),
    });
    const visible = Math.min(strength, 1);
    return blend(stylized.data, image, (visible * (3 - visible)) / 2);
  }

  return {encodeStyle, stylize};
}

/** The code of a mixture of styles: weights are at least 0, with any sum. */
export function mix(codes, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float32Array.from(codes[0], (_, i) =>
    codes.reduce((sum, code, s) => sum + (code[i] * weights[s]) / total, 0));
}

/** RGBA bytes as RGB floats in [0, 1]; transparency is ignored. */
export function toFloats({data, width, height}) {
  const floats = new Float32Array(3 * width * height);
  for (let from = 0, to = 0; to < floats.length; from += 4) {
    for (let channel = 0; channel < 3; channel++) floats[to++] = data[from + channel] / 255;
  }
  return floats;
}

/**
 * `share` of a stylized image (RGB floats) over its content, blended in linear light like thin
 * paint: RGBA bytes with the content's transparency.
 */
export function blend(stylized, {data, width, height}, share) {
  const output = new Uint8ClampedArray(4 * width * height);
  for (let from = 0, to = 0; to < output.length; to += 4) {
    for (let channel = 0; channel < 3; channel++, from++) {
      const content = LINEAR[data[to + channel]];
      const light = share * srgbToLinear(stylized[from]) + (1 - share) * content;
      output[to + channel] = Math.round(255 * linearToSrgb(light));
    }
    output[to + 3] = data[to + 3];
  }
  return {data: output, width, height};
}

function srgbToLinear(x) {
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
}

function linearToSrgb(y) {
  return y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055;
}

/** Linear light of each byte. */
const LINEAR = Float64Array.from({length: 256}, (_, byte) => srgbToLinear(byte / 255));
