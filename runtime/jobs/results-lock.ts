/**
 * One process at a time has the results of a batch: it holds a lock file beside them, which nobody can make while it is
 * there. The journal names its process too, but of two that start at the same moment neither finds the other there.
 *
 * A lock that a dead process left is moved aside before it is removed, and looked at again there: in the meantime
 * another may have removed it and made its own, which is then put back.
 */
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { link, open, readFile, rename, rm } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';
import { journalPath } from './batch-start.js';
import { parseProcessMark } from './journal-format.js';
import { isRunning, OWNER_POLL_MS, OWNER_WAIT_MS, processMark, runInProgress } from './process-mark.js';

/**
 * Takes the lock; the result gives it back. Results that are no file (a pipe, a terminal) have none. Rejects with FC0933
 * when a process has held it for a while, FC0918 when it cannot be made.
 */
export async function lockResults(resultsPath: string): Promise<() => Promise<void>> {
  if (statSync(resultsPath, { throwIfNoEntry: false })?.isFile() === false) return () => Promise.resolve();
  const path = `${journalPath(resultsPath)}.lock`;
  const mine = JSON.stringify(processMark());
  for (let waited = 0; !(await isMade(resultsPath, path, mine)); waited += OWNER_POLL_MS) {
    const text = await textOf(path);
    if (text === undefined) continue;
    const owner = parseProcessMark(text);
    const isOver = waited >= OWNER_WAIT_MS;
    // It may be about to be written; one that never was is of a machine that died.
    if (owner === undefined ? isOver : !isRunning(owner)) await remove(path, text);
    else if (owner !== undefined && isOver) throw runInProgress(resultsPath, owner);
    else await setTimeout(OWNER_POLL_MS);
  }
  return () => remove(path, mine);
}

async function isMade(resultsPath: string, path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(text);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new RuntimeFailure('FC0918', `cannot write results to ${resultsPath}: ${systemReason(cause)}`, {
      subject: resultsPath,
      cause,
    });
  }
}

async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

/** Removes the lock if it is the one with this text. */
async function remove(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
    if ((await textOf(aside)) !== text) await link(aside, path);
  } catch {
    // Somebody else has removed it, or made one.
  }
  await rm(aside, { force: true });
}
