// The browser's side of draw_page.py: node draw_page.mjs URL CHROMIUM PHOTO FOLDER
import path from 'node:path';
import {chromium} from 'playwright-core';

const [, , url, executablePath, photo, folder] = process.argv;
const VIEWS = [
  {name: 'wide', dark: false, width: 1200, styles: ['Hokusai, The Great Wave', 'Van Gogh, Irises'], mix: 40},
  {name: 'dark', dark: true, width: 1200, styles: ['Hokusai, The Great Wave'], open: true},
  {name: 'narrow', dark: false, width: 360, styles: ['Hokusai, The Great Wave']},
];

const browser = await chromium.launch({executablePath, args: ['--no-sandbox']});
for (const {name, dark, width, styles, mix, open} of VIEWS) {
  const page = await browser.newPage({viewport: {width, height: 820}, colorScheme: dark ? 'dark' : 'light'});
  page.setDefaultTimeout(600000);
  await page.goto(url);
  await page.waitForSelector('html[data-ready]');
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click('#choose-photo')]);
  await chooser.setFiles(photo);
  for (const style of styles) await page.click(`button[title="${style}"]`);
  if (mix) await page.locator('#mix').fill(String(mix));
  await page.click('#paint');
  await page.locator('#busy').waitFor({state: 'hidden'});
  await Promise.all([page.waitForEvent('download'), page.click('#save')]);
  await page.locator('#compare').fill('45');
  if (open) await page.click('summary');
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  await page.mouse.move(0, 0);
  await page.screenshot({path: path.join(folder, `${name}.png`), fullPage: true});
  await page.close();
}
await browser.close();
