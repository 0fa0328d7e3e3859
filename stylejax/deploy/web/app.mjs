// The page: what the controls do. What is computed lives in worker.mjs and blend.mjs.

import {blend} from './blend.mjs';
import {takePhoto} from './camera.mjs';
import {inOneFile, licenses, load, sampleUrl, start, threads, warmUp, whyNoWebGpu} from './engine.mjs';
import {addStyle, chosen, showShares, showStyles} from './styles.mjs';
import {compare, compareAt, showOriginal, showPainting, showPhoto, sizeText} from './view.mjs';

const PHOTO_SAMPLES = [['cat.jpg', 'A cat'], ['coffee.jpg', 'A cup of coffee']];
const STYLE_SIDE = 320; // pixels of a style's shorter side at a stroke size of 1
const SMALLEST = 16; // pixels of a side

const byId = (id) => document.getElementById(id);
const value = (id) => Number(byId(id).value);

let photo = null; // {blob, name, width, height}
let painting = null; // what worker.mjs gave, and the settings it was painted with
let running = null; // the painting that is being made

const stroke = () => 2 ** (value('stroke') / 10);
const strength = () => value('strength') / 100;
const weights = () => (chosen.length < 2 ? [1] : [1 - value('mix') / 100, value('mix') / 100]);

/** What a painting depends on; with other settings it must be made anew. */
const settings = () => JSON.stringify([photo?.id, chosen.map((style) => style.name), weights(),
  stroke(), value('size'), Math.max(strength(), 1), byId('webgpu').checked]);

// -- what is said

function say(text) {
  byId('status').textContent = text;
}

function complain(error) {
  byId('problem').textContent = error?.message ?? String(error);
  byId('problem').hidden = false;
}

function clearProblem() {
  byId('problem').hidden = true;
  byId('problem').textContent = '';
}

// -- photos and styles

let photos = 0;

async function usePhoto(blob, name) {
  clearProblem();
  const focusIsLost = byId('empty').contains(document.activeElement);
  try {
    const bitmap = await opened(blob, name);
    running?.cancel();
    photo = {blob, name, width: bitmap.width, height: bitmap.height, id: ++photos};
    painting = null;
    showPhoto(bitmap, name);
    bitmap.close();
  } catch (error) {
    return complain(error);
  }
  byId('photo-row').hidden = false;
  if (focusIsLost) byId('other-photo').focus({preventScroll: true});
  byId('save-row').disabled = true;
  byId('size').lastElementChild.textContent = `Full resolution (${sizeText(photo)})`;
  changed();
}

async function useStyle(blob, name) {
  clearProblem();
  try {
    (await opened(blob, name)).close();
    addStyle(blob, name, changed);
  } catch (error) {
    complain(error);
  }
}

async function opened(blob, name) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    throw new Error(`${name} can’t be opened as an image. JPEG, PNG and WebP work in every browser.`);
  }
  if (Math.min(bitmap.width, bitmap.height) < SMALLEST) {
    throw new Error(`${name} is too small: ${sizeText(bitmap)} pixels; each side needs at least ${SMALLEST}.`);
  }
  return bitmap;
}

async function camera() {
  clearProblem();
  try {
    const blob = await takePhoto();
    if (blob) await usePhoto(blob, 'camera.png');
  } catch (error) {
    complain(error);
  }
}

function chooseFile(input, use) {
  byId(input).value = '';
  byId(input).onchange = () => {
    const [file] = byId(input).files;
    if (file) use(file, file.name);
  };
  byId(input).click();
}

/** Drops and pastes: on the styles a style, elsewhere a photo. */
function take(transfer, target) {
  const file = [...transfer.files].find((each) => each.type.startsWith('image/')) ?? transfer.files[0];
  if (!file) return;
  const use = target instanceof Element && target.closest('#styles') ? useStyle : usePhoto;
  use(file, file.name);
}

// -- painting

async function paint() {
  clearProblem();
  const wanted = settings();
  const side = Math.round(STYLE_SIDE * stroke());
  const provider = byId('webgpu').checked ? 'webgpu' : 'wasm';
  const styles = [...chosen];
  const noiseGain = Math.max(strength(), 1);
  busy(true);
  try {
    const job = {photo: photo.blob, longer: value('size'), styleSide: side, weights: weights(), noiseGain,
      styles: await Promise.all(styles.map(async (style) =>
        ({code: style.codes.get(side), blob: await style.read()})))};
    running = start(job, provider, progress);
    const result = await running.result;
    styles.forEach((style, i) => style.codes.set(side, result.codes[i]));
    painting = {...result, settings: wanted, noiseGain};
    const {content, seconds} = result;
    byId('size-note').textContent = `${sizeText(content)} pixels`;
    showPainting(shown(), strength(), value('color') / 100);
    showOriginal(shown());
    byId('save-row').disabled = false;
    finish(`Painted in ${seconds.all.toFixed(1)} seconds with ${engineText(provider)} ` +
      `(${seconds.painting.toFixed(1)} of them in the networks).`);
  } catch (error) {
    finish(error.name === 'AbortError' ? 'Canceled.' : '');
    if (error.name !== 'AbortError') complain(error);
  }
}

function finish(text) {
  running = null;
  busy(false);
  changed();
  say(text);
}

/** The images on the screen: those of the painting, smaller if it is large. */
const shown = () => painting.preview ?? painting;

function busy(is) {
  byId('busy').hidden = !is;
  byId('paint').hidden = is;
  if (is) {
    say('');
    progress('Starting', 0);
    byId('cancel').focus({preventScroll: true});
  } else {
    byId('paint').focus({preventScroll: true});
  }
}

let paintingSince = 0;

function progress(step, share) {
  if (step !== 'Painting') paintingSince = 0;
  else paintingSince ||= performance.now();
  const spent = (performance.now() - paintingSince) / 1000;
  const left = share > 0.05 && share < 1 && paintingSince ? `, ${duration((spent / share) * (1 - share))} left` : '';
  byId('step').textContent = `${step}${left}`;
  if (share) byId('progress').value = share;
  else byId('progress').removeAttribute('value');
}

const duration = (seconds) =>
  seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;

const engineText = (provider) =>
  provider === 'webgpu' ? 'WebGPU' : `WebAssembly on ${threads() === 1 ? 'one thread' : `${threads()} threads`}`;

// -- controls

/** Called when any control changes: shows what can be shown at once, and whether to paint again. */
function changed() {
  showValue('strength', `${value('strength')} %`);
  showValue('color', `${value('color')} %`);
  showValue('stroke', `${stroke().toFixed(2)} ×`);
  byId('mix-row').hidden = chosen.length < 2;
  showValue('mix', `${100 - value('mix')} : ${value('mix')}`);
  showShares(weights());
  byId('paint').disabled = !photo || !chosen.length || running !== null;
  const stale = painting !== null && painting.settings !== settings();
  byId('paint').textContent = painting === null ? 'Paint' : 'Paint again';
  // The next thing to do stands out.
  byId('paint').classList.toggle('primary', painting === null || stale);
  byId('save').classList.toggle('primary', painting !== null && !stale);
  if (painting) {
    showPainting(shown(), strength(), value('color') / 100);
    if (stale) say('Paint again to apply your changes.');
  } else if (photo && !chosen.length) {
    say('Choose a style.');
  } else if (!photo && chosen.length) {
    say('Choose a photo.');
  } else {
    say(photo ? '' : 'Choose a photo and a style.');
  }
}

/** Beside a slider, and as what a screen reader says of it. */
function showValue(id, text) {
  byId(`${id}-value`).textContent = text;
  byId(id).setAttribute('aria-valuetext', text);
}

async function save() {
  clearProblem();
  const type = byId('format').value;
  const {content, stylized} = painting;
  try {
    const canvas = Object.assign(document.createElement('canvas'),
      {width: content.width, height: content.height});
    const context = canvas.getContext('2d');
    if (!context) throw new Error('This browser can’t save an image of this size. Choose a smaller one.');
    const image = context.createImageData(content.width, content.height);
    blend(stylized, content.data, strength(), value('color') / 100, image.data);
    if (type === 'image/jpeg') onWhite(image.data);
    context.putImageData(image, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.95));
    if (!blob) throw new Error('This browser can’t save an image of this size. Choose a smaller one.');
    const name = photo.name.replace(/\.\w+$/, '') + (type === 'image/png' ? '_painted.png' : '_painted.jpg');
    const link = Object.assign(document.createElement('a'), {href: URL.createObjectURL(blob), download: name});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say(`Saved ${name}, ${sizeText(content)} pixels.`);
  } catch (error) {
    complain(error);
  }
}

function onWhite(data) {
  for (let i = 0; i < data.length; i += 4) {
    const rest = 255 - data[i + 3];
    for (let channel = 0; rest && channel < 3; channel++) {
      data[i + channel] = (data[i + channel] * data[i + 3]) / 255 + rest;
    }
    data[i + 3] = 255;
  }
}

async function showLicenses() {
  byId('licenses').showModal();
  try {
    byId('licenses-text').textContent ||= await licenses();
  } catch (error) {
    byId('licenses').close();
    complain(error);
  }
}

// -- the start

async function showPhotoSamples() {
  for (const [file, name] of PHOTO_SAMPLES) {
    const url = await sampleUrl(file);
    const button = Object.assign(document.createElement('button'), {type: 'button', className: 'tile sample', title: name});
    button.append(Object.assign(document.createElement('img'), {src: url, alt: name}));
    button.addEventListener('click', async () => usePhoto(await (await fetch(url)).blob(), file));
    byId('photo-samples').append(button);
  }
}

function listen() {
  for (const id of ['choose-photo', 'other-photo']) {
    byId(id).addEventListener('click', () => chooseFile('photo-file', usePhoto));
  }
  for (const id of ['open-camera', 'other-camera']) byId(id).addEventListener('click', camera);
  for (const id of ['mix', 'strength', 'color', 'stroke', 'size', 'webgpu']) {
    byId(id).addEventListener('input', changed);
  }
  byId('compare').addEventListener('input', compare);
  for (const kind of ['pointerdown', 'pointermove']) {
    byId('canvases').addEventListener(kind, (event) => {
      if (painting && event.buttons === 1) compareAt(event);
    });
  }
  byId('canvases').addEventListener('pointerdown', (event) => byId('canvases').setPointerCapture(event.pointerId));
  byId('paint').addEventListener('click', paint);
  byId('cancel').addEventListener('click', () => running?.cancel());
  byId('save').addEventListener('click', save);
  byId('open-licenses').addEventListener('click', showLicenses);
  byId('close-licenses').addEventListener('click', () => byId('licenses').close());
  byId('panel').addEventListener('submit', (event) => event.preventDefault());
  addEventListener('paste', (event) => take(event.clipboardData, document.activeElement));
  addEventListener('dragover', (event) => {
    event.preventDefault();
    byId('stage').classList.add('over');
  });
  addEventListener('dragleave', () => byId('stage').classList.remove('over'));
  addEventListener('drop', (event) => {
    event.preventDefault();
    byId('stage').classList.remove('over');
    take(event.dataTransfer, event.target);
  });
}

async function begin() {
  listen();
  changed();
  byId('runs-on').textContent = `Paints with ${engineText('wasm')}, on this device. ` +
    (inOneFile() ? 'A page opened from a file has one thread; the page that “stylejax web” serves has more.' : '');
  await Promise.all([showStyles(changed, () => chooseFile('style-file', useStyle)), showPhotoSamples()]);
  const why = await whyNoWebGpu();
  byId('webgpu').disabled = why !== null;
  byId('webgpu-why').textContent = why ?? '';
  await load();
  document.documentElement.dataset.ready = 'true';
  await warmUp();
}

begin().catch(complain);
