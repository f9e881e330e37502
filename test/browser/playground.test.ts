/** The playground in a real browser: served by the command, typed into, looked at. */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPlayground, type Playground } from './open-playground.js';

const SMALL = readFileSync('cli/playground/page/small.plan', 'utf8');

let playground: Playground;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  playground = await openPlayground();
  page = await playground.browser.newPage({ viewport: { width: 1400, height: 850 } });
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.addInitScript({ content: COUNT_QUESTIONS });
  await page.goto(playground.url);
});

/**
 * Counts the questions that a worker of the page has not answered; the most there were of one worker are in `mostUnanswered`.
 * The simulations that were answered are counted in `simulations`.
 */
const COUNT_QUESTIONS = `
  globalThis.mostUnanswered = 0;
  globalThis.simulations = 0;
  globalThis.Worker = class extends Worker {
    unanswered = [];
    constructor(...given) {
      super(...given);
      this.addEventListener('message', () => {
        if (this.unanswered.shift() === 'simulate') simulations++;
      });
    }
    postMessage(message) {
      mostUnanswered = Math.max(mostUnanswered, this.unanswered.push(message.ask));
      super.postMessage(message);
    }
  };
`;

/** A text whose simulation takes a long time: forty plans. */
const LONG = [
  SMALL.slice(0, SMALL.indexOf('/// Prefill')).replace('requests: 60', 'requests: 200'),
  ...Array.from(
    { length: 40 },
    (_, i) => `plan p${i} for m13b on machine {
  stage serve: prefill + decode on gpu { mesh (tp: 4), microbatch: ${i + 1} tokens }
  flow requests -> serve -> results
}
`,
  ),
].join('');

afterAll(async () => {
  expect(await playground.close()).toBe(0);
});

async function write(text: string): Promise<void> {
  await page.click('.cm-content');
  await page.keyboard.press('Control+a');
  await page.keyboard.insertText(text);
}

const status = (text: string | RegExp): Promise<void> =>
  expect.poll(() => page.textContent('#status')).toMatch(text);

describe('the playground in a browser', () => {
  it('compiles its first example', async () => {
    await status('compiles');
    expect(await page.textContent('#text')).toContain('plan reshard');
    await page.click('button[data-view=runtime]');
    expect(await page.textContent('#text')).toContain('attention');
  });

  it('draws the graph', async () => {
    await page.click('button[data-view=graph]');
    expect(await page.locator('#graph svg text').allTextContents()).toContain('gpu[0]');
  });

  it('shows what is wrong while one types, where it is', async () => {
    await page.click('.cm-content');
    await page.keyboard.press('Control+End');
    await page.keyboard.type('plan p for nobody on machine {}');
    await status(/error/);
    expect(await page.textContent('#problems')).toContain('nobody');
    await expect.poll(() => page.locator('.cm-lintRange-error').count()).toBeGreaterThan(0);
    for (let count = 0; count < 31; count++) await page.keyboard.press('Backspace');
    await status('compiles');
    expect(await page.isHidden('#problems')).toBe(true);
  });

  it('keeps to the plan that was chosen while the text is without it', async () => {
    await page.click('button[data-view=plan]');
    await page.selectOption('#plan', 'reshard');
    await write(SMALL.replace('stage decode on gpu { mesh (tp: 4)', 'stage decode on gpu { mesh (tp: 3)'));
    await status('1 error');
    expect(await page.inputValue('#plan')).toBe('tensor');
    await write(SMALL);
    await status('compiles');
    expect(await page.inputValue('#plan')).toBe('reshard');
    expect(await page.textContent('#text')).toContain('plan reshard');
  });

  it('simulates in the page', async () => {
    await page.click('button[data-view=simulation]');
    await status(/^compiles, simulated$/);
    const frame = page.frameLocator('#simulation');
    await expect.poll(() => frame.locator('body').textContent()).toContain('requests per');
    await page.click('button[data-view=plan]');
    await status(/^compiles$/);
  });

  it('simulates what was changed right before', async () => {
    await page.click('button[data-view=plan]');
    await page.selectOption('#example', 'small');
    await status('compiles');
    await page.click('.cm-content');
    await page.keyboard.press('Control+End');
    await page.keyboard.insertText('\n// Changed.');
    await page.click('button[data-view=simulation]');
    await status(/^compiles, simulated$/);
  });

  it('counts errors where it shows why nothing was simulated', async () => {
    await page.click('button[data-view=simulation]');
    await write(`${SMALL}\nplan p for nobody on machine {}`);
    await status(/^2 errors, not simulated$/);
    expect(await page.textContent('#text')).toBe('The file has errors.');
  });

  it('gives a simulation up for a newer text', async () => {
    await page.click('button[data-view=simulation]');
    await write(LONG);
    await status(/^compiles, simulating/);
    const simulations = await page.evaluate<number>('simulations');
    await page.click('.cm-content');
    await page.keyboard.press('Control+Home');
    await page.keyboard.type('x');
    await expect.poll(() => page.isVisible('#problems')).toBe(true);
    expect(await page.evaluate('simulations')).toBe(simulations);
    await write(SMALL);
    await status(/^compiles, simulated$/);
    expect(await page.evaluate('simulations')).toBe(simulations + 1);
  });

  it('lets go of answers about a text that is no longer there', async () => {
    for (let pause = 150; pause < 240; pause += 15) {
      await page.selectOption('#example', 'small');
      await page.click('.cm-content');
      await page.keyboard.press('Control+End');
      await page.keyboard.insertText('\nplan p for nobody on machine {}');
      await page.waitForTimeout(pause);
      await page.keyboard.press('Control+a');
      await page.keyboard.press('Delete');
      await status('not simulated');
    }
    expect(complaints).toEqual([]);
  });

  it('never has the compiler work through texts that are no longer there', async () => {
    await page.click('button[data-view=plan]');
    await page.selectOption('#example', 'seesaw-70b');
    await page.click('.cm-content');
    await page.keyboard.press('Control+End');
    for (let count = 0; count < 10; count++) {
      await page.keyboard.type('x');
      await page.waitForTimeout(170);
    }
    await status(/error/);
    expect(await page.evaluate('mostUnanswered')).toBe(1);
  });

  it('changes the example', async () => {
    await page.click('button[data-view=plan]');
    await page.selectOption('#example', 'pod');
    await expect.poll(() => page.textContent('#text')).toContain('llama3_405b');
  });

  it('never complained', () => {
    expect(complaints).toEqual([]);
  });
});
