// The browser's side of measure_page.py: node measure_page.mjs ARGUMENTS, a JSON file.
import {readdirSync, readFileSync} from 'node:fs';
import {chromium} from 'playwright-core';

const given = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const server = await chromium.launchServer({executablePath: given.chromium, args: ['--no-sandbox']});
const browser = await chromium.connect(server.wsEndpoint());
const PATIENCE = 300000; // milliseconds: machines may be busy

/** GiB of memory of all the browser's processes together; shared pages count once (PSS). */
function memory() {
  const parents = new Map();
  for (const pid of readdirSync('/proc').filter(Number).map(Number)) {
    try {
      parents.set(pid, Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]));
    } catch { /* it has ended */ }
  }
  const ours = (pid) => pid === server.process().pid || (parents.has(pid) && ours(parents.get(pid)));
  let total = 0;
  for (const pid of parents.keys()) {
    if (!ours(pid)) continue;
    try {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      total += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
    } catch { /* it has ended */ }
  }
  return total / 2 ** 20;
}

async function open(url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const begun = performance.now();
  await page.goto(url);
  await page.waitForSelector('.tile img');
  const usable = (performance.now() - begun) / 1000;
  await page.waitForSelector('html[data-ready]', {timeout: 300000});
  return {page, usable, ready: (performance.now() - begun) / 1000};
}

async function choosePhoto(page, size) {
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'),
    page.click(await page.isVisible('#choose-photo') ? '#choose-photo' : '#other-photo')]);
  await chooser.setFiles(given[size]);
  await page.locator(`#painting[aria-label$="${size}.png"]`).waitFor();
}

async function paint(page, size) {
  await choosePhoto(page, size);
  await page.selectOption('#size', '0');
  return again(page);
}

async function again(page) {
  await page.click('#paint');
  await page.locator('#busy').waitFor({state: 'hidden', timeout: 600000});
  if (await page.isVisible('#problem')) throw new Error(await page.locator('#problem').innerText());
  return page.locator('#status').innerText();
}

/** Seconds from the address to a saved stylized image, by clicks alone, at the default size. */
async function visit(url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const begun = performance.now();
  await page.goto(url);
  await choosePhoto(page, 'photo');
  await page.click('button[title="Van Gogh, Irises"]');
  await again(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
  await download.saveAs(given.saved);
  const seconds = (performance.now() - begun) / 1000;
  await page.close();
  return seconds;
}

async function measure() {
  if (given.what === 'visit') return {served: await visit(given.served), disk: await visit(given.disk)};
  return {square, limit, photo}[given.what]();
}

async function square() {
  const disk = await open(given.disk);
  const found = {usable: disk.usable, ready: disk.ready};
  await disk.page.close();
  const {page} = await open(given.served);
  await page.click('button[title="Van Gogh, Irises"]');
  // The first is painted at once, the second after the browser has compiled everything.
  found.first = await paint(page, 'square');
  found.status = await again(page);
  for (const id of ['strength', 'color']) {
    found[id] = await page.evaluate((name) => {
      const slider = document.getElementById(name);
      return [90, 60, 30, 75, 45].map((value) => {
        const begun = performance.now();
        slider.value = value;
        slider.dispatchEvent(new Event('input'));
        return performance.now() - begun;
      });
    }, id);
  }
  return found;
}

/** Seconds that the page's engine takes for one matrix product: the least of eight. */
async function limit() {
  const {page} = await open(given.served);
  const model = readFileSync(given.product).toString('base64');
  const seconds = await page.evaluate(async (encoded) => {
    const ort = await import(new URL('onnxruntime/wasm.mjs', document.baseURI).href);
    const wasm = await fetch(new URL('onnxruntime/wasm.wasm', document.baseURI));
    Object.assign(ort.env.wasm, {wasmBinary: await wasm.arrayBuffer(), numThreads: 2});
    const session = await ort.InferenceSession.create(
      Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0)));
    const matrix = (...shape) =>
      new ort.Tensor('float32', new Float32Array(shape[0] * shape[1]).fill(1), shape);
    const feeds = {a: matrix(2048, 1024), b: matrix(1024, 1024)};
    let best = Infinity;
    for (let i = 0; i < 8; i++) {
      const begun = performance.now();
      await session.run(feeds);
      best = Math.min(best, performance.now() - begun);
    }
    return best / 1000;
  }, model);
  return {seconds};
}

async function photo() {
  const {page} = await open(given.served);
  await page.click('button[title="Van Gogh, Irises"]');
  const found = {before: memory(), most: 0};
  const timer = setInterval(() => { found.most = Math.max(found.most, memory()); }, 700);
  found.status = await paint(page, 'photo');
  clearInterval(timer);
  await page.waitForTimeout(3000);
  return {...found, after: memory()};
}

const found = {chromium: browser.version(), ...(await measure())};
console.log(JSON.stringify(found));
await browser.close();
await server.close();
