/** Whether one can read what the playground shows, in the light and in the dark. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPlayground, type Playground } from './open-playground.js';

/** Ratio of luminances that text needs to what lies behind it, by WCAG 2. */
const READABLE = 4.5;
/** That of a mark such as the cursor. */
const VISIBLE = 3;

let playground: Playground;

beforeAll(async () => {
  playground = await openPlayground();
});

afterAll(() => playground.close());

/**
 * Defines `contrasts()` in the page: of all texts one can see, the least contrast to what lies behind them, by the class of
 * their element and their text. The selection lies between the editor and its text, outside of the text's ancestors; it is
 * taken to lie behind all of it.
 */
const CONTRASTS = `{
  const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const paint = (colour) => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const channels = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((byte) => byte / 255);
    const [r, g, b] = channels.map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgrounds = (element) => {
    if (element === null) return [];
    const own = [...backgrounds(element.parentElement), getComputedStyle(element).backgroundColor];
    const selection = element.matches('.cm-scroller') && document.querySelector('.cm-selectionBackground');
    return selection ? [...own, getComputedStyle(selection).backgroundColor] : own;
  };
  globalThis.contrast = (element, colour) => {
    for (const background of backgrounds(element)) paint(background);
    const behind = paint('transparent');
    const text = paint(colour);
    return (Math.max(behind, text) + 0.05) / (Math.min(behind, text) + 0.05);
  };
  const texts = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const { data, parentElement } = walker.currentNode;
      if (data.trim() === '' || !parentElement.checkVisibility() || parentElement.closest('#graph, option, .cm-announced')) continue;
      found.push([parentElement, data, getComputedStyle(parentElement).color]);
    }
    for (const field of document.querySelectorAll('input.cm-textfield')) {
      found.push([field, 'typed', getComputedStyle(field).color]);
      found.push([field, 'placeholder', getComputedStyle(field, '::placeholder').color]);
    }
    return found;
  };
  globalThis.contrasts = () =>
    texts().map(([element, text, colour]) => ({
      text: element.className + ' ' + text.slice(0, 30),
      contrast: contrast(element, colour),
    }));
}`;

interface Contrast {
  readonly text: string;
  readonly contrast: number;
}

/** Texts that are hard to read, of those the page shows now. */
async function unreadable(page: Page, least: number): Promise<readonly Contrast[]> {
  const all = await page.evaluate<Contrast[]>('contrasts()');
  expect(all.length).toBeGreaterThan(least);
  return all.filter(({ contrast }) => contrast < READABLE);
}

/** Holds in a while: the page hears of what is pressed or preferred, and draws, a little later. */
const isReadable = (page: Page, least: number): Promise<void> =>
  expect.poll(() => unreadable(page, least)).toEqual([]);

async function openPage(colorScheme: 'light' | 'dark'): Promise<Page> {
  const page = await playground.browser.newPage({ colorScheme, viewport: { width: 1400, height: 1200 } });
  await page.addInitScript({ content: CONTRASTS });
  await page.goto(playground.url);
  await page.locator('#status', { hasText: 'compiles' }).waitFor({ timeout: 50_000 });
  await page.click('.cm-content');
  return page;
}

async function breakText(page: Page): Promise<void> {
  await page.click('.cm-content');
  await page.keyboard.press('Control+End');
  await page.keyboard.insertText('\n/* (Nobody.) */ plan p for nobody on machine {}');
  await expect.poll(() => page.locator('.cm-lint-marker').count()).toBeGreaterThan(0);
}

describe.each(['light', 'dark'] as const)('in a %s page one can read', (colorScheme) => {
  let page: Page;
  beforeAll(async () => {
    page = await openPage(colorScheme);
  });
  afterAll(() => page.close());

  it('the text, selected or not, and sees the cursor', async () => {
    await isReadable(page, 200);
    const cursor = `contrast(document.querySelector('.cm-scroller'), getComputedStyle(document.querySelector('.cm-cursor')).borderLeftColor)`;
    expect(await page.evaluate(cursor)).toBeGreaterThan(VISIBLE);
    await page.keyboard.press('Control+a');
    await page.waitForSelector('.cm-selectionBackground');
    await isReadable(page, 200);
    // The line of the cursor has a colour as well.
    await page.keyboard.press('Control+Home');
    await page.locator('.cm-line', { hasText: /^\/\// }).first().click();
    await page.keyboard.press('Home');
    await page.keyboard.press('Shift+End');
    await page.waitForSelector('.cm-activeLine:has-text("//")');
    await page.waitForSelector('.cm-selectionBackground');
    await isReadable(page, 200);
  });

  it('what is found, and the panel that looks for it', async () => {
    await page.keyboard.press('Control+Home');
    await page.keyboard.press('Control+f');
    await page.keyboard.type('e');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.cm-searchMatch-selected');
    await isReadable(page, 200);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Alt+g');
    await page.waitForSelector('.cm-dialog');
    await isReadable(page, 200);
    await page.keyboard.press('Escape');
  });

  it('what is wrong, in every place that says so', async () => {
    await breakText(page);
    await page.keyboard.press('Control+Home');
    await page.hover('.cm-lint-marker');
    await page.waitForSelector('.cm-tooltip-lint');
    await isReadable(page, 200);
    await page.click('.cm-content');
    await page.keyboard.press('Control+Shift+M');
    await page.waitForSelector('.cm-panel-lint');
    await page.click('.cm-content');
    await isReadable(page, 200);
  });

  it('brackets that match', async () => {
    await page.keyboard.press('Control+End');
    await page.keyboard.press('ArrowLeft');
    await page.waitForSelector('.cm-matchingBracket');
    await isReadable(page, 200);
  });

  it('why there is no simulation', async () => {
    await page.click('button[data-view=simulation]');
    await expect.poll(() => page.textContent('#text')).toBe('The file has errors.');
    expect(await page.isVisible('#text')).toBe(true);
    // A frame without a page of its own colours is white.
    expect(await page.isVisible('#simulation')).toBe(false);
    await isReadable(page, 50);
  });
});

it('follows the scheme while it is open', async () => {
  const page = await openPage('light');
  await breakText(page);
  await page.keyboard.press('Control+Shift+M');
  await page.waitForSelector('.cm-panel-lint');
  await page.click('.cm-content');
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    await isReadable(page, 200);
  }
  await page.close();
});
