// What is done to a painting pixel by pixel: strength below 1 and the photo's colors, as
// stylejax.controls does it, by tables so that a slider can be dragged.

const LEVELS = 65535;
const LEAST = 255e-6; // a distance from gray that counts as none

/** Linear light of each 16-bit number of sRGB, and the number (0 to 255) of each light. */
const LIGHT = Float32Array.from({length: LEVELS + 1}, (_, i) => srgbToLinear(i / LEVELS));
const NUMBER = Float32Array.from({length: LEVELS + 1}, (_, i) => 255 * linearToSrgb(i / LEVELS));
const BYTE = Uint8ClampedArray.from(NUMBER);

/**
 * A painting as it is to be seen: RGBA bytes, with the photo's transparency.
 *
 * `stylized` is RGB of 16 bits, `content` RGBA bytes. Strength is 0 to 1 (what is beyond 1 is in the
 * painting already), color 0 (the style's colors) to 1 (the photo's).
 */
export function blend(stylized, content, strength, color = 0, output = null) {
  output ??= new Uint8ClampedArray(content.length);
  const visible = Math.min(strength, 1);
  const share = (visible * (3 - visible)) / 2;
  const most = LEVELS * share;
  // Of each byte of the photo its part of the sum, and a half for rounding.
  const rest = Float32Array.from({length: 256}, (_, byte) =>
    LEVELS * (1 - share) * LIGHT[257 * byte] + 0.5);
  for (let from = 0, to = 0; to < content.length; from += 3, to += 4) {
    output[to] = BYTE[(most * LIGHT[stylized[from]] + rest[content[to]]) | 0];
    output[to + 1] = BYTE[(most * LIGHT[stylized[from + 1]] + rest[content[to + 1]]) | 0];
    output[to + 2] = BYTE[(most * LIGHT[stylized[from + 2]] + rest[content[to + 2]]) | 0];
    output[to + 3] = content[to + 3];
  }
  if (color > 0) keepColor(stylized, content, most, rest, color, output);
  return output;
}

/** Gives the photo's hues to the blend: its luminance with them, towards gray where RGB would end. */
function keepColor(stylized, content, most, rest, color, output) {
  for (let from = 0, to = 0; to < content.length; from += 3, to += 4) {
    const red = NUMBER[(most * LIGHT[stylized[from]] + rest[content[to]]) | 0];
    const green = NUMBER[(most * LIGHT[stylized[from + 1]] + rest[content[to + 1]]) | 0];
    const blue = NUMBER[(most * LIGHT[stylized[from + 2]] + rest[content[to + 2]]) | 0];
    const light = 0.299 * red + 0.587 * green + 0.114 * blue;
    const gray = 0.299 * content[to] + 0.587 * content[to + 1] + 0.114 * content[to + 2];
    const r = content[to] - gray;
    const g = content[to + 1] - gray;
    const b = content[to + 2] - gray;
    // How many times each channel's distance from gray fits in between the light and the end.
    let room = 1;
    room = Math.min(room, (r > 0 ? 255 - light : light) / Math.max(Math.abs(r), LEAST));
    room = Math.min(room, (g > 0 ? 255 - light : light) / Math.max(Math.abs(g), LEAST));
    room = Math.min(room, (b > 0 ? 255 - light : light) / Math.max(Math.abs(b), LEAST));
    output[to] = red + color * (light + room * r - red);
    output[to + 1] = green + color * (light + room * g - green);
    output[to + 2] = blue + color * (light + room * b - blue);
  }
}

function srgbToLinear(x) {
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
}

function linearToSrgb(y) {
  return y <= 0.0031308 ? 12.92 * y : 1.055 * y ** (1 / 2.4) - 0.055;
}
