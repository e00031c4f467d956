// See check_report.sh.
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, ...pages] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), 'package.json'));
const puppeteer = require('puppeteer-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const shots = process.env.SCREENSHOTS;
const widths = [360, 768, 1440];
const themes = ['light', 'dark'];
const names = ['chromium', 'chromium-browser', 'google-chrome'];
const places = names.flatMap((name) => ['/usr/bin', '/usr/local/bin'].map((dir) => join(dir, name)));
const executablePath = process.env.CHROMIUM ?? places.find((path) => existsSync(path));
if (!executablePath) {
  console.error('no Chromium found; name it with CHROMIUM=PATH');
  process.exit(2);
}
if (shots) mkdirSync(shots, { recursive: true });

let failures = 0;
const fail = (where, what) => {
  failures += 1;
  console.error(`${where}: ${what}`);
};

/** What is wider than the window without scrolling by itself. */
const overflow = () => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return [];
  const inScroll = (element) => element.closest('.scroll') && !element.classList.contains('scroll');
  return [...document.querySelectorAll('body *')]
    .filter((element) => element.getBoundingClientRect().right > room + 1 && !inScroll(element))
    .slice(0, 5)
    .map((element) => `${element.tagName}.${element.getAttribute('class')}: ${element.getBoundingClientRect().right}`);
};

const browser = await puppeteer.launch({
  executablePath,
  headless: true,
  protocolTimeout: 600000,
  args: ['--no-sandbox', '--disable-gpu', '--font-render-hinting=none'],
});
for (const file of pages) {
  const url = pathToFileURL(resolve(file)).href;
  for (const theme of themes) {
    for (const width of widths) {
      const where = `${file}, ${theme}, ${width} px`;
      const page = await browser.newPage();
      page.on('console', (message) => fail(where, `console: ${message.text()}`));
      page.on('pageerror', (error) => fail(where, `error: ${error.message}`));
      page.on('request', (request) => {
        if (request.url() !== url) fail(where, `loads ${request.url()}`);
      });
      await page.setViewport({ width, height: 900 });
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }]);
      await page.goto(url, { waitUntil: 'load' });
      if (shots) {
        const name = `${basename(file, '.html')}-${theme}-${width}`;
        await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
      }
      // The button shows the other theme.
      const background = () => getComputedStyle(document.documentElement).backgroundColor;
      const before = await page.evaluate(background);
      await page.click('#theme');
      if ((await page.evaluate(background)) === before) fail(where, 'the button does not change the theme');
      await page.click('#theme');
      if ((await page.evaluate(background)) !== before) fail(where, 'the button does not change the theme back');
      // Folded parts are part of the page.
      await page.evaluate(() => document.querySelectorAll('details').forEach((part) => { part.open = true; }));
      for (const found of await page.evaluate(overflow)) fail(where, `too wide: ${found}`);
      await page.evaluate(axe);
      const result = await page.evaluate(() => globalThis.axe.run(document, {
        resultTypes: ['violations'],
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
      }));
      for (const violation of result.violations) {
        const first = violation.nodes[0];
        fail(where, `${violation.id} (${violation.impact}), ${violation.nodes.length} times: ${violation.help}\n    ${first.html.slice(0, 200)}\n    ${first.failureSummary.replaceAll('\n', ' ')}`);
      }
      await page.close();
    }
  }
  console.log(`${file}: checked in ${themes.length} themes and ${widths.length} widths`);
}
await browser.close();
if (failures > 0) {
  console.error(`${failures} found`);
  process.exit(1);
}
