/** Real processes: the child of a command that uses a GPU, when the parent is gone. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { parseProcessMark, type ProcessMark } from '../../runtime/jobs/journal-format.js';
import { isRunning } from '../../runtime/jobs/process-mark.js';
import { transpile } from '../fixtures/transpiled.js';

const program = transpile('test/fixtures/followed-process.ts', 'cli/follow-parent.ts');
const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-followed-'));
afterAll(() => {
  program.remove();
  rmSync(scratch, { recursive: true });
});

/** Long enough for a machine with much else to do. */
const PATIENCE_MS = 40_000;

/** What `look` finds within PATIENCE_MS. */
async function eventually<T>(look: () => T | undefined): Promise<T | undefined> {
  const begun = performance.now();
  for (;;) {
    const found = look();
    if (found !== undefined || performance.now() - begun > PATIENCE_MS) return found;
    await setTimeout(20);
  }
}

/** The child, once it has said which process it is. */
async function childOf(path: string): Promise<ProcessMark> {
  const mark = await eventually(() =>
    existsSync(path) ? parseProcessMark(readFileSync(path, 'utf8')) : undefined,
  );
  if (mark === undefined) throw new Error('the child did not start');
  return mark;
}

describe('a GPU process', () => {
  it.concurrent.each(['late', 'blocked', 'waiting'])(
    'that is %s ends when its parent is killed',
    async (when) => {
      const path = join(scratch, when);
      const parent = spawn(process.execPath, [program.path, when, path], { stdio: 'ignore' });
      const child = await childOf(path);
      try {
        expect(isRunning(child)).toBe(true);
        parent.kill('SIGKILL');
        expect(await eventually(() => (isRunning(child) ? undefined : 'ended'))).toBe('ended');
      } finally {
        if (isRunning(child)) process.kill(child.pid, 'SIGKILL');
      }
    },
    3 * PATIENCE_MS,
  );

  it('that was killed is told of, with what may help', async () => {
    const path = join(scratch, 'killed');
    const parent = spawn(process.execPath, [program.path, 'waiting', path], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    parent.stderr.on('data', (text) => (said += String(text)));
    const child = await childOf(path);
    process.kill(child.pid, 'SIGKILL');
    expect(await once(parent, 'close')).toEqual([3, null]);
    expect(said).toMatch(/the GPU process was ended by SIGKILL\n {2}help: .*memory.*`--resume`/);
  });

  it('that is done waits for nothing', async () => {
    const parent = spawn(process.execPath, [program.path, 'done', join(scratch, 'done')], {
      stdio: 'ignore',
    });
    expect(await once(parent, 'exit')).toEqual([0, null]);
  });
});
