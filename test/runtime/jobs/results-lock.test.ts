import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { lockResults } from '../../../runtime/jobs/results-lock.js';

/** Rounds of waiting; nobody waits here for a process to end. */
let waits = 0;
let onWait: () => void = () => undefined;
vi.mock('node:timers/promises', () => ({
  setTimeout: () => {
    waits++;
    onWait();
    return Promise.resolve();
  },
}));

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-lock-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const results = join(scratch, 'results.jsonl');
const lock = `${results}.journal.lock`;
/** A process that runs, and is another. */
const alive = JSON.stringify({ pid: process.ppid, host: hostname() });
const dead = JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() });

describe('the lock of results', () => {
  it('is there as long as it is held', async () => {
    const unlock = await lockResults(results);
    expect(JSON.parse(readFileSync(lock, 'utf8'))).toMatchObject({ pid: process.pid, host: hostname() });
    await unlock();
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('is not taken from a process that runs, though no journal names it yet', async () => {
    writeFileSync(lock, alive);
    await expect(lockResults(results)).rejects.toMatchObject({ code: 'FC0933' });
    expect(readFileSync(lock, 'utf8')).toBe(alive);
    rmSync(lock);
  });

  it('is waited for', async () => {
    writeFileSync(lock, alive);
    waits = 0;
    onWait = () => waits === 3 && rmSync(lock);
    const unlock = await lockResults(results);
    expect(waits).toBe(3);
    onWait = () => undefined;
    await unlock();
  });

  it.each([dead, JSON.stringify({ pid: process.ppid, host: 'another machine' })])(
    'is taken at once from a process that is gone: %s',
    async (text) => {
      writeFileSync(lock, text);
      waits = 0;
      const unlock = await lockResults(results);
      expect(waits).toBe(0);
      await unlock();
      expect(readdirSync(scratch)).toEqual([]);
    },
  );

  it('is taken after a while where it never was written', async () => {
    writeFileSync(lock, '');
    waits = 0;
    const unlock = await lockResults(results);
    expect(waits).toBeGreaterThan(0);
    await unlock();
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('stays with whoever has taken it in the meantime', async () => {
    const unlock = await lockResults(results);
    writeFileSync(lock, alive);
    await unlock();
    expect(readdirSync(scratch)).toEqual(['results.jsonl.journal.lock']);
    expect(readFileSync(lock, 'utf8')).toBe(alive);
    rmSync(lock);
  });

  it('is none of results that are no file, and cannot be where there is no folder', async () => {
    await (
      await lockResults('/dev/null')
    )();
    expect(existsSync('/dev/null.journal.lock')).toBe(false);
    await expect(lockResults(join(scratch, 'no', 'results.jsonl'))).rejects.toMatchObject({ code: 'FC0918' });
  });
});
