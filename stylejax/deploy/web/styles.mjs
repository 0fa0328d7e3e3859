// The tiles of styles: samples and one's own, of which one or two are chosen.

import {sampleUrl} from './engine.mjs';

const SAMPLES = [
  ['great_wave.jpg', 'Hokusai, The Great Wave'],
  ['irises.jpg', 'Van Gogh, Irises'],
  ['adele_bloch_bauer.jpg', 'Klimt, Adele Bloch-Bauer'],
];

/** The chosen styles, in the order in which they were chosen: {name, blob, codes, button}. */
export const chosen = [];

/** Shows the samples; `onChange` is called whenever others are chosen. */
export async function showStyles(onChange, onAdd) {
  const box = document.getElementById('styles');
  const add = document.createElement('button');
  Object.assign(add, {type: 'button', className: 'tile', id: 'add-style', textContent: 'Add your own'});
  add.addEventListener('click', onAdd);
  box.append(add);
  for (const [file, name] of SAMPLES) {
    const url = await sampleUrl(file);
    const style = tile(url, name, onChange);
    style.blob = null;
    style.read = async () => (style.blob ??= await (await fetch(url)).blob());
  }
}

/** Adds a style of one's own, and chooses it. */
export function addStyle(blob, name, onChange) {
  const style = tile(URL.createObjectURL(blob), name, onChange);
  style.read = async () => blob;
  toggle(style, onChange);
}

/** Writes on each chosen tile how much of the mixture it is. */
export function showShares(weights) {
  for (const label of document.querySelectorAll('.tile .share')) label.remove();
  if (chosen.length < 2) return;
  chosen.forEach(({button}, i) => {
    const label = document.createElement('span');
    Object.assign(label, {className: 'share', textContent: `${Math.round(100 * weights[i])} %`});
    button.append(label);
  });
}

function tile(url, name, onChange) {
  const button = document.createElement('button');
  Object.assign(button, {type: 'button', className: 'tile', title: name});
  button.setAttribute('aria-pressed', 'false');
  const image = Object.assign(document.createElement('img'), {src: url, alt: name});
  button.append(image);
  document.getElementById('add-style').before(button);
  // What has been computed of it is kept: its code at each size of strokes.
  const style = {name, button, codes: new Map(), read: null};
  button.addEventListener('click', () => toggle(style, onChange));
  return style;
}

/** Chooses a style or lets go of it; of three the oldest goes. */
function toggle(style, onChange) {
  const place = chosen.indexOf(style);
  if (place >= 0) chosen.splice(place, 1);
  else chosen.push(style);
  if (chosen.length > 2) chosen.shift().button.setAttribute('aria-pressed', 'false');
  style.button.setAttribute('aria-pressed', String(place < 0));
  onChange();
}
