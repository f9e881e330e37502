/**
 * The folder of a run's disk tier: `fulcrum-kv-<run>` in the directory that the plan names, made new by every run and
 * removed at its end. A lock file in it names the process; what a dead process of this machine left is removed by the
 * next run. Nothing else in the directory is touched, and nothing of another run is ever read as KV.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, readdir, readlink, rm, rmdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../make-folder.js';
import { isSegment } from './segment.js';

const PREFIX = 'fulcrum-kv-';
const RUN_FOLDER = /^fulcrum-kv-[0-9a-f]{16}$/;
const SEGMENT = /^segment-[0-9]{6}\.kv$/;
const LOCK = 'lock.json';

export interface RunFolder {
  /** Name of the run, unique among all. */
  readonly run: string;
  readonly path: string;
  /** Path of a segment file. */
  segment(index: number): string;
  /** Removes segments and lock, then the folder unless somebody put something else there. Never rejects. */
  remove(): Promise<void>;
}

/**
 * Makes the folder of a new run in `directory`, which is made as well if need be, after removing those of dead runs.
 * Rejects with the system's error when that cannot be done.
 */
export async function createRunFolder(directory: string): Promise<RunFolder> {
  makeFolder(directory);
  await removeDeadRuns(directory);
  const run = randomBytes(8).toString('hex');
  const path = join(directory, `${PREFIX}${run}`);
  await mkdir(path, { mode: 0o700 });
  await writeFile(join(path, LOCK), JSON.stringify({ pid: process.pid, machine: await machine() }));
  return {
    run,
    path,
    segment: (index) => join(path, `segment-${String(index).padStart(6, '0')}.kv`),
    remove: () => removeOwn(path),
  };
}

async function removeDeadRuns(directory: string): Promise<void> {
  const here = await machine();
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isDirectory() || !RUN_FOLDER.test(entry.name)) continue;
    const path = join(directory, entry.name);
    const owner = await readLock(join(path, LOCK));
    // Without a lock it may be a run that has just begun.
    if (owner !== undefined && owner.machine === here && !isAlive(owner.pid)) await removeOwn(path);
  }
}

interface Owner {
  readonly pid: number;
  readonly machine: string;
}

async function readLock(path: string): Promise<Owner | undefined> {
  try {
    const parsed = JSON.parse(await readFile(path, 'utf8')) as Partial<Owner> | null;
    const { pid, machine } = parsed ?? {};
    return Number.isInteger(pid) && typeof machine === 'string' ? { pid: pid!, machine } : undefined;
  } catch {
    return undefined;
  }
}

/** Where a process id means something: the host, and on Linux the namespace of process ids. */
async function machine(): Promise<string> {
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '');
  return `${hostname()} ${namespace}`.trim();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Not permitted to signal it: there is one.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The lock goes last, so that what an interrupted removal leaves is still known to be a dead run's. */
async function removeOwn(path: string): Promise<void> {
  try {
    let foreign = false;
    for (const name of await readdir(path)) {
      if (name === LOCK) continue;
      if (SEGMENT.test(name) && (await beginsAsSegment(join(path, name)))) await rm(join(path, name));
      else foreign = true;
    }
    if (foreign) return;
    await rm(join(path, LOCK), { force: true });
    await rmdir(path);
  } catch {
    // It stays, for the next run to try.
  }
}

/** A segment whose header was never written is empty. */
async function beginsAsSegment(path: string): Promise<boolean> {
  const handle = await open(path, 'r');
  try {
    const bytes = new Uint8Array(64);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return bytesRead === 0 || isSegment(bytes);
  } finally {
    await handle.close();
  }
}
