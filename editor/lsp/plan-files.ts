/**
 * The plan files below the folders of a workspace. To look for them takes long where there are many folders, so it is
 * done beside other work, within bounds, and what was found is kept for a while.
 */
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface PlanFiles {
  /** The files as they were found last, in order. */
  readonly known: () => readonly string[];
  /** Looks for them again unless that was done a moment ago. */
  readonly refresh: () => Promise<void>;
  /** What is known no longer holds: a file came or went. */
  readonly forget: () => void;
}

export interface PlanFilesOptions {
  /** Milliseconds for which what was found is good: not every editor tells what comes and goes. */
  readonly goodFor?: number;
  /** Most folders that are looked into, those near the top first. */
  readonly mostFolders?: number;
}

const GOOD_FOR_MS = 5000;
const MOST_FOLDERS = 5000;
const MOST_FILES = 2000;
/** Folders of what is made or fetched, which nobody edits; those with a dot in front are others. */
const SKIPPED = new Set([
  'node_modules',
  'dist',
  'build',
  'out',
  'target',
  'coverage',
  'venv',
  '__pycache__',
]);
/** Folders that are read at once. */
const AT_ONCE = 16;

export function createPlanFiles(folders: readonly string[], options: PlanFilesOptions = {}): PlanFiles {
  const { goodFor = GOOD_FOR_MS, mostFolders = MOST_FOLDERS } = options;
  let known: readonly string[] = [];
  let goodUntil = -Infinity;
  let looking: Promise<void> | undefined;
  let changes = 0;
  const look = async (): Promise<void> => {
    const before = changes;
    known = await planFilesBelow(folders, mostFolders);
    // What changed meanwhile may have been passed already.
    if (changes === before) goodUntil = performance.now() + goodFor;
  };
  return {
    known: () => known,
    refresh: async () => {
      await looking;
      if (performance.now() < goodUntil) return;
      looking ??= look().finally(() => (looking = undefined));
      await looking;
    },
    forget: () => {
      changes++;
      goodUntil = -Infinity;
    },
  };
}

async function planFilesBelow(folders: readonly string[], mostFolders: number): Promise<readonly string[]> {
  const found: string[] = [];
  const waiting = [...new Set(folders)];
  for (let next = 0; next < Math.min(waiting.length, mostFolders) && found.length < MOST_FILES;) {
    const batch = waiting.slice(next, Math.min(next + AT_ONCE, mostFolders));
    next += batch.length;
    const listed = await Promise.all(batch.map(entriesOf));
    for (const [index, entries] of listed.entries())
      for (const entry of entries) {
        const path = join(batch[index]!, entry.name);
        if (entry.isDirectory() && !isSkipped(entry.name)) waiting.push(path);
        else if (entry.isFile() && entry.name.endsWith('.plan')) found.push(path);
      }
  }
  return found.sort();
}

/** What is in a folder; nothing in one that is gone or closed to us. */
async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function isSkipped(name: string): boolean {
  return name.startsWith('.') || SKIPPED.has(name);
}
