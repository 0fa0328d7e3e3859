// Drives the page in Chromium, for the tests: node browser.mjs SCENARIO ARGUMENTS
//
// ARGUMENTS is a JSON file with the page's address, the browser's path and a folder for what is saved. Prints
// one line of JSON: what the scenario found, the requests that were made and what the console said.

import {readFileSync} from 'node:fs';
import path from 'node:path';
import {chromium} from 'playwright-core';

const [, , scenario, file] = process.argv;
const given = JSON.parse(readFileSync(file, 'utf8'));
const PAINTING = {timeout: 300000};

/** The page, ready to stylize. */
async function open(context) {
  const page = await context.newPage();
  const seen = {requests: [], console: []};
  page.on('console', (message) => seen.console.push(message.text().slice(0, 300)));
  page.on('pageerror', (error) => seen.console.push(String(error)));
  page.on('console', (message) => console.error(message.text().slice(0, 500)));
  context.on('request', (request) => seen.requests.push(request.url().slice(0, 200)));
  const begun = performance.now();
  await page.goto(given.url);
  await page.waitForSelector('html[data-ready]', PAINTING);
  seen.ready = (performance.now() - begun) / 1000;
  return {page, seen};
}

const choose = async (page, button, file, wrong = false) => {
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click(button)]);
  await chooser.setFiles(file);
  const name = path.basename(file);
  const shown = button === '#add-style'
    ? `.tile[title="${name}"][aria-pressed="true"]` : `#painting[aria-label="The photo ${name}"]`;
  await page.locator(wrong ? '#problem' : shown).waitFor();
};

/** Moves a slider like a person who can't see it: by its name, with keyboard events. */
const set = (page, name, value) => page.getByLabel(name, {exact: true}).fill(String(value));

const textOf = (page, selector) => page.locator(selector).innerText();

async function paint(page) {
  await page.click('#paint');
  await page.locator('#busy').waitFor({state: 'hidden', ...PAINTING});
  if (await page.isVisible('#problem')) throw new Error(await textOf(page, '#problem'));
  return textOf(page, '#status');
}

async function save(page, name) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
  await download.saveAs(path.join(given.folder, name));
  return download.suggestedFilename();
}

const scenarios = {
  /** Every control once, on images of the test's own. */
  async controls(context) {
    const {page, seen} = await open(context);
    const found = {disabled: await page.isDisabled('#paint'), first: await textOf(page, '#status'), statuses: []};
    await choose(page, '#choose-photo', given.photo);
    found.asked = await textOf(page, '#status');
    await choose(page, '#add-style', given.styles[0]);
    found.statuses.push(await paint(page));
    found.name = await save(page, 'plain.png');
    for (const percent of [0, 40]) {
      await set(page, 'Strength', percent);
      await save(page, `strength_${percent}.png`);
    }
    await set(page, 'Strength', 100);
    await set(page, 'Keep the photo’s colors', 70);
    await save(page, 'color.png');
    await set(page, 'Keep the photo’s colors', 0);
    await page.selectOption('#format', 'image/jpeg');
    found.jpeg = await save(page, 'plain.jpg');
    await page.selectOption('#format', 'image/png');
    await set(page, 'Compare: share of the photo', 50);
    found.clip = await page.locator('#original').evaluate((canvas) => canvas.style.clipPath);
    const box = await page.locator('#canvases').boundingBox();
    await page.mouse.move(box.x + 0.9 * box.width, box.y + 9);
    await page.mouse.down();
    await page.mouse.move(box.x + 0.25 * box.width, box.y + 9);
    await page.mouse.up();
    await page.mouse.move(box.x + 0.6 * box.width, box.y + 9);
    found.dragged = await page.getByLabel('Compare: share of the photo').inputValue();
    await set(page, 'Strength', 150);
    found.stale = await textOf(page, '#status');
    found.statuses.push(await paint(page));
    await save(page, 'beyond.png');
    await set(page, 'Strength', 100);
    await choose(page, '#add-style', given.styles[1]);
    await set(page, 'Mix', 30);
    found.statuses.push(await paint(page));
    await save(page, 'mixed.png');
    await page.locator('.tile[aria-pressed="true"]').first().click();
    await set(page, 'Stroke size', -10);
    found.statuses.push(await paint(page));
    await save(page, 'stroke.png');
    await set(page, 'Stroke size', 0);
    await choose(page, '#other-photo', given.large);
    await page.selectOption('#size', '512');
    found.statuses.push(await paint(page));
    await save(page, 'smaller.png');
    return {found, seen};
  },

  /** Errors are reported in a sentence, and the page still works; stylizing can be canceled. */
  async mistakes(context) {
    const {page, seen} = await open(context);
    const found = {sentences: []};
    for (const file of [given.text, given.tiny]) {
      await choose(page, '#choose-photo', file, true);
      found.sentences.push(await textOf(page, '#problem'));
    }
    await page.click('button[title="A cat"]');
    await page.click('button[title="Van Gogh, Irises"]');
    await choose(page, '#add-style', given.text, true);
    found.sentences.push(await textOf(page, '#problem'));
    // At the first progress report: a second later, a small image may be done.
    await page.evaluate(() => {
      const cancel = document.getElementById('cancel');
      const step = document.getElementById('step');
      new MutationObserver((_, observer) => {
        if (step.textContent === 'Starting') return;
        observer.disconnect();
        cancel.click();
      }).observe(step, {childList: true, characterData: true, subtree: true});
    });
    await page.click('#paint');
    await page.locator('#busy').waitFor({state: 'hidden'});
    found.cancelled = await textOf(page, '#status');
    await page.selectOption('#size', '512');
    found.painted = await paint(page);
    for (let tries = 0; page.workers().length && tries < 100; tries++) await page.waitForTimeout(100);
    found.workers = page.workers().length;
    return {found, seen};
  },

  /** Paste, drop and camera. */
  async inputs(context) {
    const {page, seen} = await open(context);
    const found = {};
    const give = (type, target) => page.evaluate(async ([type, target, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], `${type}.png`, {type: 'image/png'}));
      const event = type === 'paste'
        ? new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true})
        : new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true});
      document.querySelector(target).dispatchEvent(event);
    }, [type, target, given.png]);
    await give('paste', 'body');
    await page.locator('#painting[aria-label="The photo paste.png"]').waitFor();
    await give('drop', '#stage');
    await page.locator('#painting[aria-label="The photo drop.png"]').waitFor();
    await give('drop', '#styles');
    await page.locator('.tile[title="drop.png"][aria-pressed="true"]').waitFor();
    await page.click('#other-camera');
    await page.locator('#camera[open]').waitFor();
    await page.click('#take');
    await page.locator('#painting[aria-label="The photo camera.png"]').waitFor();
    found.status = await paint(page);
    // A screen reader needs a name for everything that can be used.
    found.nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select')]
      .filter((each) => !(each.textContent.trim() || each.ariaLabel || each.labels?.length || each.title))
      .map((each) => each.outerHTML.slice(0, 80)));
    return {found, seen};
  },

  /** With the keyboard alone, on a narrow screen, in dark mode. */
  async narrow(context) {
    const {page, seen} = await open(context);
    const found = {};
    await page.setViewportSize({width: 360, height: 740});
    const reach = async (selector) => {
      for (let presses = 0; presses < 40; presses++) {
        await page.keyboard.press('Tab');
        if (await page.locator(selector).evaluate((each) => each === document.activeElement)) return;
      }
      throw new Error(`${selector} can't be reached with the keyboard`);
    };
    await reach('button[title="A cat"]');
    await page.keyboard.press('Enter');
    await page.locator('#photo-row').waitFor({state: 'visible'});
    found.focus = await page.evaluate(() => document.activeElement.id);
    await reach('button[title="Hokusai, The Great Wave"]');
    await page.keyboard.press('Space');
    await reach('#strength');
    await page.keyboard.press('ArrowLeft');
    found.strength = await textOf(page, '#strength-value');
    found.spoken = await page.locator('input[type="range"]').evaluateAll((sliders) =>
      Object.fromEntries(sliders.map((each) => [each.id, each.ariaValueText])));
    await page.selectOption('#size', '512');
    await reach('#paint');
    await page.keyboard.press('Enter');
    await page.locator('#busy').waitFor({state: 'hidden', ...PAINTING});
    found.status = await textOf(page, '#status');
    await page.locator('#save').scrollIntoViewIfNeeded();
    found.seen = await page.locator('#painting').evaluate((canvas) => {
      const {top, bottom} = canvas.getBoundingClientRect();
      return [top, innerHeight - bottom];
    });
    found.overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    return {found, seen};
  },

  /** From disk, offline: the samples, at the default size. */
  async offline(context) {
    await context.setOffline(true);
    const {page, seen} = await open(context);
    await page.click('button[title="A cup of coffee"]');
    await page.click('button[title="Klimt, Adele Bloch-Bauer"]');
    const found = {runs: await page.locator('#runs-on').textContent(), painted: await paint(page)};
    await save(page, 'offline.png');
    found.webgpu = await page.isDisabled('#webgpu');
    await page.click('summary');
    await page.click('#open-licenses');
    await page.locator('#licenses-text', {hasText: 'ONNX Runtime'}).waitFor();
    found.licenses = await page.locator('#licenses-text').textContent();
    await page.keyboard.press('Escape');
    await page.locator('#licenses').waitFor({state: 'hidden'});
    return {found, seen};
  },

  /** Several photos in one style. */
  async photos(context) {
    const {page, seen} = await open(context);
    await choose(page, '#add-style', given.styles[0]);
    for (const photo of given.photos) {
      await choose(page, seen.saved ? '#other-photo' : '#choose-photo', photo);
      await paint(page);
      seen.saved = await save(page, `${path.basename(photo)}.png`);
      await set(page, 'Strength', 0);
      await save(page, `${path.basename(photo)}.content.png`);
      await set(page, 'Strength', 100);
    }
    return {found: {}, seen};
  },

  /** A photo of a phone at full resolution. */
  async large(context) {
    const {page, seen} = await open(context);
    await choose(page, '#choose-photo', given.photo);
    await choose(page, '#add-style', given.styles[0]);
    await page.selectOption('#size', '0');
    const found = {painted: await paint(page)};
    await save(page, 'large.png');
    return {found, seen};
  },

  /** Images stylized by the page's own engine: 16 bits of RGB, in base 64. */
  async webgpu(context) {
    const {page, seen} = await open(context);
    const found = {enabled: await page.isEnabled('#webgpu'), paintings: []};
    for (const photo of given.photos) {
      found.paintings.push(await page.evaluate(async ([photo, style, provider]) => {
        const engine = await import('./engine.mjs');
        const file = async (base64) => new Blob(
          [Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], {type: 'image/png'});
        const job = {photo: await file(photo), longer: 0, styleSide: 320, weights: [1], noiseGain: 1,
          styles: [{blob: await file(style)}]};
        const {stylized} = await engine.start(job, provider, () => {}).result;
        let text = '';
        for (const byte of new Uint8Array(stylized.buffer)) text += String.fromCharCode(byte);
        return btoa(text);
      }, [photo, given.style, given.provider]));
    }
    if (given.provider === 'webgpu') {
      await page.click('button[title="A cat"]');
      await page.click('button[title="Van Gogh, Irises"]');
      await page.selectOption('#size', '512');
    }
    return {found, seen};
  },
};

const browser = await chromium.launch({executablePath: given.chromium, args: [
  '--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader',
]});
try {
  const context = await browser.newContext({acceptDownloads: true, colorScheme: given.dark ? 'dark' : 'light'});
  context.setDefaultTimeout(60000);
  console.log(JSON.stringify(await scenarios[scenario](context)));
} finally {
  await browser.close();
}
