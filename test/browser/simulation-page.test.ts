/** The page of a simulation in a real browser: it asks nothing of anybody, draws, and answers the pointer. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserPath } from '../../scripts/setup/browser.mjs';
import { runInProcess } from '../cli/run-program.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-page-'));
let browser: Browser;
let page: Page;
const complaints: string[] = [];
const asked: string[] = [];

beforeAll(async () => {
  const [lengths, file] = [join(folder, 'lengths.jsonl'), join(folder, 'page.html')];
  writeFileSync(lengths, '{"prompt_tokens": 100, "output_tokens": 20}\n'.repeat(8));
  const run = await runInProcess('simulate', 'plans/clerk.plan', '--workload', lengths, '--html', file);
  expect(run.status).toBe(0);
  browser = await chromium.launch({
    executablePath: browserPath()!,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  });
  page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(pathToFileURL(file).href);
});

afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

/** How many colours the timeline of a plan has been painted with. */
const colours = (plan: string): Promise<number> =>
  page.locator(`#${plan} canvas`).evaluate((element) => {
    const canvas = element as unknown as {
      readonly width: number;
      readonly height: number;
      getContext(kind: '2d'): {
        getImageData(x: number, y: number, w: number, h: number): { readonly data: Uint8ClampedArray };
      };
    };
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });

describe('the page of a simulation in a browser', () => {
  it('is one file, and draws every plan when it is chosen', async () => {
    const plans = await page.locator('section.plan').evaluateAll((all) => all.map(({ id }) => id));
    expect(plans).toHaveLength(7);
    for (const plan of plans) {
      await page.click(`button[data-shows=${plan}]`);
      await expect.poll(() => colours(plan)).toBeGreaterThan(8);
    }
    expect(asked).toHaveLength(1);
    expect(complaints).toEqual([]);
  });

  it('goes from plan to plan with the keys of tabs', async () => {
    const shown = (): Promise<string[]> =>
      page.locator('section.plan:visible').evaluateAll((all) => all.map(({ id }) => id));
    await page.click('button[data-shows=plan-0]');
    for (const [key, plan] of [
      ['ArrowRight', 'plan-1'],
      ['End', 'plan-6'],
      ['ArrowRight', 'plan-0'],
      ['ArrowLeft', 'plan-6'],
      ['Home', 'plan-0'],
    ] as const) {
      await page.keyboard.press(key);
      await expect.poll(shown).toEqual([plan]);
      const tab = page.getByRole('tab', { selected: true });
      expect(await tab.evaluate((each) => each.matches(':focus'))).toBe(true);
      expect(await tab.getAttribute('aria-controls')).toBe(plan);
      const name = (await tab.textContent())!;
      expect(await page.getByRole('tabpanel', { name }).getAttribute('id')).toBe(plan);
    }
    // What was chosen is where the way back leads, and has an address.
    expect(page.url()).toMatch(/#plan-0$/);
    await page.goBack();
    await expect.poll(shown).toEqual(['plan-6']);
    await page.goForward();
    await expect.poll(shown).toEqual(['plan-0']);
    // One of them is enough on the way of the tab key.
    expect(await page.locator('[role=tab][tabindex="0"]').count()).toBe(1);
  });

  it('shows the whole of names in the narrowest pair of panels', async () => {
    await page.setViewportSize({ width: 920, height: 1000 });
    await page.click('button[data-shows=plan-0]');
    const names = await page.locator('.bars .name:visible').evaluateAll((all) =>
      (
        all as unknown as {
          readonly scrollWidth: number;
          readonly clientWidth: number;
        }[]
      ).map((each) => each.scrollWidth - each.clientWidth),
    );
    expect(names.length).toBeGreaterThan(8);
    expect(Math.max(...names)).toBe(0);
    await page.setViewportSize({ width: 1400, height: 1000 });
  });

  it('is printed in light colours, whatever is chosen', async () => {
    const ink = (): Promise<string> => page.evaluate<string>('getComputedStyle(document.body).color');
    await page.emulateMedia({ colorScheme: 'dark' });
    const light = 'rgb(27, 34, 48)';
    expect(await ink()).not.toBe(light);
    await page.click('#theme');
    expect(await ink()).toBe(light);
    await page.click('#theme');
    expect(await ink()).not.toBe(light);
    await page.emulateMedia({ colorScheme: 'dark', media: 'print' });
    expect(await ink()).toBe(light);
    await page.emulateMedia({ colorScheme: 'light', media: 'screen' });
    const theme = 'document.documentElement.dataset.theme';
    await page.evaluate("dispatchEvent(new Event('beforeprint'))");
    expect(await page.evaluate(theme)).toBe('light');
    await page.evaluate("dispatchEvent(new Event('afterprint'))");
    expect(await page.evaluate(theme)).toBe('dark');
    await page.click('#theme');
  });

  it('says what the pointer is on', async () => {
    await page.click('button[data-shows=plan-0]');
    const box = (await page.locator('#plan-0 canvas').boundingBox())!;
    const tip = page.locator('#plan-0 .tip');
    expect(await tip.isVisible()).toBe(false);
    // The queue of the first device, in the middle of its time.
    await page.mouse.move(box.x + box.width / 2, box.y + 40);
    await expect.poll(() => tip.textContent()).toMatch(/prefill|decode/);
    expect(await tip.isVisible()).toBe(true);
    expect(complaints).toEqual([]);
  });
});

describe.each([
  ['many devices', 'plans/pod.plan', 'wide'],
  [
    'a plan with a long name',
    '',
    'a_name_that_says_all_there_is_to_say_about_a_plan_and_then_some_more_of_it',
  ],
])('the page of %s', (_what, existing, name) => {
  const html = join(folder, `${name}.html`);
  beforeAll(async () => {
    const file = existing || join(folder, 'long.plan');
    if (existing === '')
      writeFileSync(
        file,
        `import { workstation } from "std/local"
model m { layers: 4, hidden: 64, heads: 8, kv_heads: 4, ffn: 96, vocab: 100, context: 128, weights: f32 }
plan ${name} for m on workstation { stage serve: prefill + decode on gpu { mesh (tp: 4) } }
plan other from ${name} {}
`,
      );
    const which = existing === '' ? [] : ['--plan', name];
    const workload = ['--workload', join(folder, 'lengths.jsonl')];
    const run = await runInProcess('simulate', file, ...which, ...workload, '--html', html);
    expect(run.status, run.err).toBe(0);
  });

  it.each([1300, 390])('has room for its bars, names and figures at %i pixels', async (width) => {
    const narrow = await browser.newPage({ viewport: { width, height: 900 } });
    await narrow.goto(pathToFileURL(html).href);
    const boxesOf = (selector: string) =>
      narrow.locator(selector).evaluateAll((all) =>
        (
          all as unknown as {
            getBoundingClientRect(): { readonly width: number; readonly right: number };
            closest(selectors: string): { getBoundingClientRect(): { readonly right: number } };
          }[]
        )
          .map((each) => ({
            width: each.getBoundingClientRect().width,
            past:
              each.getBoundingClientRect().right - each.closest('.card, main').getBoundingClientRect().right,
          }))
          .filter((each) => each.width > 0),
      );
    const bars = await boxesOf('.bar');
    expect(bars.length).toBeGreaterThan(0);
    expect(Math.min(...bars.map((each) => each.width))).toBeGreaterThanOrEqual(80);
    for (const { past } of await boxesOf('.bars > *, h1, nav button')) expect(past).toBeLessThanOrEqual(0);
    const scrolled = 'document.documentElement.scrollWidth';
    expect(await narrow.evaluate<number>(scrolled)).toBeLessThanOrEqual(width);
    await narrow.close();
  });
});
