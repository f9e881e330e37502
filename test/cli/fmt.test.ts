/** `fulcrum fmt` end to end. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runInProcess } from './run-program.js';

const UGLY = 'model   m{source:"a",\nweights:f32}';
const FINE = 'model m { source: "a", weights: f32 }\n';
const BROKEN = 'model m { source: "a }\n';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'fulcrum-fmt-'))));
afterEach(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

describe('fmt', () => {
  it('formats files and the plan files of folders, and nothing else', async () => {
    const [ugly, fine, other] = [file('a.plan', UGLY), file('deep/b.plan', FINE), file('c.txt', UGLY)];
    const run = await runInProcess('fmt', folder);
    expect(run).toMatchObject({ status: 0, out: '' });
    expect(run.err).toContain('1 file formatted, 1 file as it should be');
    expect(readFileSync(ugly, 'utf8')).toBe(FINE);
    expect(readFileSync(fine, 'utf8')).toBe(FINE);
    expect(readFileSync(other, 'utf8')).toBe(UGLY);
  });

  it('only says so with --check', async () => {
    const ugly = file('a.plan', UGLY);
    const run = await runInProcess('fmt', '--check', ugly);
    expect(run.status).toBe(1);
    expect(run.err).toContain('a.plan would change');
    expect(readFileSync(ugly, 'utf8')).toBe(UGLY);
    expect((await runInProcess('fmt', '--check', file('b.plan', FINE))).status).toBe(0);
  });

  it('shows what would change with --diff', async () => {
    const ugly = file('a.plan', UGLY);
    const run = await runInProcess('fmt', '--diff', ugly);
    expect(run.status).toBe(1);
    expect(run.out).toContain('-model   m{source:"a",');
    expect(run.out).toContain(`+${FINE.trimEnd()}`);
    expect(readFileSync(ugly, 'utf8')).toBe(UGLY);
  });

  it('leaves a file with errors as it is, says what is wrong, and goes on', async () => {
    const [broken, ugly] = [file('a.plan', BROKEN), file('b.plan', UGLY)];
    const run = await runInProcess('fmt', broken, ugly);
    expect(run.status).toBe(1);
    expect(run.err).toMatch(/a\.plan:1:19: error\[FC0109\]/);
    expect(readFileSync(broken, 'utf8')).toBe(BROKEN);
    expect(readFileSync(ugly, 'utf8')).toBe(FINE);
  });

  it('says which path cannot be read', async () => {
    const run = await runInProcess('fmt', join(folder, 'absent.plan'));
    expect(run.status).toBe(1);
    expect(run.err).toContain('absent.plan');
  });

  it('filters standard input, and gives back what is broken', () => {
    const filter = (input: string) =>
      spawnSync(process.execPath, ['dist/program/main.js', 'fmt', '-'], { input, encoding: 'utf8' });
    expect(filter(UGLY)).toMatchObject({ status: 0, stdout: FINE });
    expect(filter(BROKEN)).toMatchObject({ status: 1, stdout: BROKEN });
  });

  it('gives a slow reader all of it', () => {
    const input = FINE.repeat(5_000);
    // More than a pipe holds is written before the reader goes on.
    const reader = '{ dd bs=1 count=1; sleep 0.5; cat; }';
    const { stdout } = spawnSync(
      'sh',
      ['-c', `"$0" dist/program/main.js fmt - | ${reader}`, process.execPath],
      {
        input,
        encoding: 'utf8',
      },
    );
    expect(stdout.length).toBe(input.length);
  });
});
