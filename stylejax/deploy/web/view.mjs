// The image on the page: the painting, the photo over a part of it, and the slider between them.

import {blend} from './blend.mjs';

const byId = (id) => document.getElementById(id);

/** Shows a photo (ImageBitmap) until there is a painting of it. */
export function showPhoto(bitmap, name) {
  byId('empty').hidden = true;
  byId('view').hidden = false;
  byId('compare-row').hidden = true;
  const [width, height] = [bitmap.width, bitmap.height];
  const scale = Math.min(1, 1600 / Math.max(width, height));
  const canvas = resized('painting', Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.setAttribute('aria-label', `The photo ${name}`);
  byId('original').hidden = byId('divider').hidden = true;
  byId('size-note').textContent = `${sizeText(bitmap)} pixels`;
}

let shown = null; // the pixels on the screen, used again while a slider moves

/** Shows a painting: {content, stylized} at a strength, with so much of the photo's colors. */
export function showPainting({content, stylized}, strength, color) {
  const canvas = resized('painting', content.width, content.height);
  const context = canvas.getContext('2d');
  if (shown?.width !== content.width || shown.height !== content.height) {
    shown = context.createImageData(content.width, content.height);
  }
  blend(stylized, content.data, strength, color, shown.data);
  context.putImageData(shown, 0, 0);
  canvas.setAttribute('aria-label', 'The painting');
}

/** Puts the photo beside the painting, for the slider. */
export function showOriginal({content}) {
  const canvas = resized('original', content.width, content.height);
  canvas.getContext('2d').putImageData(new ImageData(content.data, content.width, content.height), 0, 0);
  canvas.hidden = byId('divider').hidden = byId('compare-row').hidden = false;
  byId('compare').value = 0;
  compare();
}

/** Shows the photo up to where the slider stands. */
export function compare() {
  const share = Number(byId('compare').value);
  byId('original').style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  byId('divider').style.left = `${share}%`;
  byId('divider').hidden = share === 0 || share === 100;
}

/** Moves the slider to where a pointer is on the image. */
export function compareAt(event) {
  const {left, width} = byId('canvases').getBoundingClientRect();
  byId('compare').value = (100 * (event.clientX - left)) / width;
  compare();
}

export const sizeText = ({width, height}) =>
  `${width.toLocaleString('en')} × ${height.toLocaleString('en')}`;

function resized(id, width, height) {
  const canvas = byId(id);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
  return canvas;
}
