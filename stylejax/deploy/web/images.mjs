// Image files to pixels and from one size to another, as stylejax.images does it: RGBA bytes.

/** Pixels of a style's shorter side where the size of strokes is 1. */
export const STYLE_SIDE = 320;
const STYLE_STEP = 32;
const STYLE_MAX_ASPECT = 4;

/** The pixels of a file, upright and in sRGB, as the browser reads them: ImageData. */
export async function decode(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** [width, height] with a longer side of at most `longer`; 0 is any. */
export function fit(width, height, longer) {
  const scale = longer ? Math.min(1, longer / Math.max(width, height)) : 1;
  return [width, height].map((side) => Math.max(1, Math.round(side * scale)));
}

/** The pixels in which a style is read: its middle, its shorter side scaled to `shorter`. */
export function stylePixels(image, shorter) {
  const limit = STYLE_MAX_ASPECT * Math.min(image.width, image.height);
  image = cutMiddle(image, Math.min(image.width, limit), Math.min(image.height, limit));
  const scale = shorter / Math.min(image.width, image.height);
  const sides = [image.width, image.height].map((side) => Math.max(shorter, Math.round(side * scale)));
  const step = sides.map((side) => Math.max(shorter, Math.floor(side / STYLE_STEP) * STYLE_STEP));
  return cutMiddle(resize(image, ...sides), ...step);
}

function cutMiddle(image, width, height) {
  if (width === image.width && height === image.height) return image;
  const [left, top] = [(image.width - width) >> 1, (image.height - height) >> 1];
  const data = new Uint8ClampedArray(4 * width * height);
  for (let row = 0; row < height; row++) {
    const from = 4 * ((top + row) * image.width + left);
    data.set(image.data.subarray(from, from + 4 * width), 4 * row * width);
  }
  return {data, width, height};
}

/** An image at another size: Lanczos filter, widened where it shrinks; colors count by alpha. */
export function resize({data, width, height}, newWidth, newHeight) {
  if (width === newWidth && height === newHeight) return {data, width, height};
  const [across, down] = [filter(width, newWidth), filter(height, newHeight)];
  const lines = new Float32Array(4 * newWidth * height);
  const line = new Float32Array(4 * width);
  for (let row = 0; row < height; row++) {
    for (let i = 0, from = 4 * row * width; i < 4 * width; i += 4, from += 4) {
      const alpha = data[from + 3] / 255;
      line[i] = data[from] * alpha;
      line[i + 1] = data[from + 1] * alpha;
      line[i + 2] = data[from + 2] * alpha;
      line[i + 3] = data[from + 3];
    }
    weighLine(across, line, lines, 4 * row * newWidth);
  }
  const output = new Uint8ClampedArray(4 * newWidth * newHeight);
  const sums = new Float64Array(4 * newWidth);
  for (let row = 0, to = 0; row < newHeight; row++) {
    weighLines(down[row], lines, sums);
    for (let i = 0; i < sums.length; i += 4, to += 4) {
      const alpha = Math.max(sums[i + 3], 1) / 255;
      output[to] = Math.round(sums[i] / alpha);
      output[to + 1] = Math.round(sums[i + 1] / alpha);
      output[to + 2] = Math.round(sums[i + 2] / alpha);
      output[to + 3] = Math.round(sums[i + 3]);
    }
  }
  return {data: output, width: newWidth, height: newHeight};
}

/** For each place of a new line, the first place of the old one that it reads, and the weights. */
function filter(length, newLength) {
  const scale = length / newLength;
  const reach = 3 * Math.max(scale, 1);
  return Array.from({length: newLength}, (_, place) => {
    const center = (place + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - reach + 0.5));
    const last = Math.min(length, Math.floor(center + reach + 0.5));
    const weights = Float64Array.from({length: last - first}, (_, i) =>
      lanczos((first + i - center + 0.5) / Math.max(scale, 1)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return {first, weights: weights.map((weight) => weight / sum)};
  });
}

function lanczos(x) {
  const sinc = (y) => (y === 0 ? 1 : Math.sin(Math.PI * y) / (Math.PI * y));
  return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
}

/** Writes the pixels of a new line: of each filter a sum of pixels of the old line. */
function weighLine(filters, line, to, start) {
  for (const {first, weights} of filters) {
    let red = 0;
    let green = 0;
    let blue = 0;
    let alpha = 0;
    for (let i = 0, at = 4 * first; i < weights.length; i++, at += 4) {
      const weight = weights[i];
      red += weight * line[at];
      green += weight * line[at + 1];
      blue += weight * line[at + 2];
      alpha += weight * line[at + 3];
    }
    to[start++] = red;
    to[start++] = green;
    to[start++] = blue;
    to[start++] = alpha;
  }
}

/** Writes a sum of lines of the length of `sums`: line after line, as they lie in memory. */
function weighLines({first, weights}, lines, sums) {
  sums.fill(0);
  for (let i = 0, at = first * sums.length; i < weights.length; i++) {
    const weight = weights[i];
    for (let place = 0; place < sums.length; place++, at++) sums[place] += weight * lines[at];
  }
}

/** RGB floats of an image, for the networks: [array, shape]. */
export function toFloats({data, width, height}) {
  const floats = new Float32Array(3 * width * height);
  for (let from = 0, to = 0; to < floats.length; from += 4) {
    for (let channel = 0; channel < 3; channel++) floats[to++] = data[from + channel] / 255;
  }
  return [floats, [height, width, 3]];
}
