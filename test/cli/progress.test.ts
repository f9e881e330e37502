import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createProgress } from '../../cli/progress.js';
import type { Terminal } from '../../cli/terminal.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function onTerminal(interactive: boolean): { readonly terminal: Terminal; readonly written: string[] } {
  const written: string[] = [];
  const writeErr = (text: string): void => void written.push(text);
  const writeOut = (): void => {
    throw new Error('progress is no result');
  };
  return { terminal: { writeOut, writeErr, colour: false, interactive, columns: 80 }, written };
}

describe('progress', () => {
  it('is a plain line every five seconds, and one at the end, where nobody watches', async () => {
    const { terminal, written } = onTerminal(false);
    const progress = await createProgress(terminal, 'requests');
    progress.say('loading weights');
    progress.start(40);
    for (let done = 0; done < 40; done++) {
      vi.advanceTimersByTime(300);
      progress.update(done, 40, `${done} tokens/s`);
    }
    progress.update(40, 40, '');
    progress.stop();
    expect(written).toEqual([
      '  loading weights\n',
      '  16/40 requests after 5.1 s  16 tokens/s\n',
      '  33/40 requests after 10.2 s  33 tokens/s\n',
      '  40/40 requests after 12.0 s\n',
    ]);
  });

  it('is no line for each request that a slow pipe brings', async () => {
    const { terminal, written } = onTerminal(false);
    const progress = await createProgress(terminal, 'requests');
    progress.start(0);
    for (let tick = 0; tick < 24; tick++) {
      vi.advanceTimersByTime(250);
      const done = 1 + Math.floor(tick / 8);
      progress.update(done, done, '');
    }
    progress.stop();
    progress.stop();
    expect(written).toEqual(['  3/3 requests after 5.0 s\n', '  3/3 requests after 6.0 s\n']);
  });

  it('is a bar that is redrawn on a terminal', async () => {
    const { terminal, written } = onTerminal(true);
    const progress = await createProgress(terminal, 'requests');
    progress.start(4);
    progress.update(3, 4, 'about 2 s left');
    vi.advanceTimersByTime(1000);
    progress.stop();
    expect(written.join('')).toMatch(/█+░+.* 3\/4 requests .*about 2 s left/);
  });
});
