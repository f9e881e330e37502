/**
 * The tutorial is executed: a block `plan FILE` writes the file, `plan FILE (added)` appends to it, and a block
 * `console` has a command and lines that stand in what it prints, in that order.
 */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runInProcess } from '../cli/run-program.js';
import { fencesOf, strayLines } from './excerpts.js';
import { ROOT } from './source-files.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-tutorial-'));
afterAll(() => rmSync(folder, { recursive: true }));

const blocks = fencesOf(readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8'));

/** Runs `fulcrum …` on files of the tutorial; paths are printed without the folder. */
async function run(command: string): Promise<string> {
  const words = command.replace(/^\$ fulcrum /, '').split(' ');
  const args = words.map((word) => (word.endsWith('.plan') ? join(folder, word) : word));
  const { out, err } = await runInProcess(...args);
  return (out + err).replace(new RegExp(`[^\\s]*${basename(folder)}/`, 'g'), '');
}

describe('the tutorial', () => {
  it('prints what it says it prints', async () => {
    let commands = 0;
    for (const { info, text } of blocks) {
      const [, file, added] = /^plan (\S+)( \(added\))?$/.exec(info) ?? [];
      if (file !== undefined) {
        if (added === undefined) writeFileSync(join(folder, file), text);
        else appendFileSync(join(folder, file), `\n${text}`);
        continue;
      }
      expect(info).toBe('console');
      const [command, ...excerpt] = text.trimEnd().split('\n');
      const printed = await run(command!);
      expect(strayLines(excerpt.join('\n'), printed), `${command}\n${printed}`).toEqual([]);
      commands++;
    }
    expect(commands).toBeGreaterThan(5);
  }, 240_000);
});
