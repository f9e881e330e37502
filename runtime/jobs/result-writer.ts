/**
 * Writes the results of a batch so that what counts as finished is on disk. Results gather for a moment and are
 * committed together: their lines go to the results file and are synced, then one journal record that names them is
 * written and synced, and only then are they reported as finished. A crash before the record leaves lines that nobody
 * counts, and the next run cuts them off.
 */
import { open, rename, type FileHandle } from 'node:fs/promises';
import { closeSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';
import { journalPath, type BatchStart } from './batch-start.js';
import {
  encodeHeader,
  encodeRecord,
  type BatchIdentity,
  type FinishedRequest,
  type JournalRecord,
} from './journal-format.js';
import { processMark } from './process-mark.js';

/** What the journal keeps of a result, beside where it lies. */
export type ResultEntry = Omit<FinishedRequest, 'end' | 'crc'>;

export interface ResultWriter {
  /**
   * Takes the JSON line of a finished request. `onFinished` is called once it is on disk, in the order of the calls;
   * never when that fails.
   */
  readonly write: (line: object, entry: ResultEntry, onFinished: () => void) => void;
  /**
   * Lets go of the batch and closes the files; `isComplete` is asked once everything taken is finished. Rejects with
   * FC0918 when something could not be written.
   */
  readonly close: (isComplete: () => boolean) => Promise<void>;
}

/** Milliseconds that results gather before they are committed. */
const COMMIT_DELAY = 40;

/**
 * Opens the results as planned: created or emptied, or cut to what is finished. `onFailed` is called, once, when a
 * result cannot be written. Rejects with FC0918 when they cannot be opened.
 */
export async function openResultWriter(
  path: string,
  start: BatchStart,
  batch: BatchIdentity,
  onFailed: () => void,
): Promise<ResultWriter> {
  if (start.kind === 'stream') return streamWriter(path, onFailed);
  return guarded(path, async () => {
    const journal = start.kind === 'fresh' ? await createJournal(path, batch) : await reopen(path, start);
    const finishedBytes = start.kind === 'fresh' ? 0 : start.journal.resultBytes;
    const results = await openResults(path, finishedBytes);
    await journal.append({ run: processMark() });
    return durableWriter(path, results, finishedBytes, journal, onFailed);
  });
}

interface Pending {
  readonly bytes: Buffer;
  readonly entry: ResultEntry;
  readonly onFinished: () => void;
}

function durableWriter(
  path: string,
  results: FileHandle,
  begin: number,
  journal: AppendedFile,
  onFailed: () => void,
): ResultWriter {
  let end = begin;
  let waiting: Pending[] = [];
  let timer: NodeJS.Timeout | undefined;
  /** Commits run one after the other. */
  let commits: Promise<void> = Promise.resolve();
  let failure: RuntimeFailure | undefined;

  const fail = (cause: unknown): void => {
    failure = unwritable(path, cause, 'what is finished is kept: make room, then go on with --resume');
    onFailed();
  };
  const commit = async (): Promise<void> => {
    const group = waiting;
    waiting = [];
    if (group.length === 0 || failure !== undefined) return;
    const from = end;
    const finished = group.map(({ bytes, entry }) => ({
      ...entry,
      end: (end += bytes.length),
      crc: crc32(bytes),
    }));
    try {
      await writeAll(results, Buffer.concat(group.map(({ bytes }) => bytes)), from);
      await results.datasync();
    } catch (cause) {
      // The results keep whole lines only; where even this fails, resuming does it.
      await results.truncate(from).catch(() => undefined);
      return fail(cause);
    }
    try {
      await journal.append({ finished });
    } catch (cause) {
      // Part of the record, or all of it, may be there: the lines it names must stay.
      return fail(cause);
    }
    for (const { onFinished } of group) onFinished();
  };
  const commitNow = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    return (commits = commits.then(commit));
  };
  return {
    write: (line, entry, onFinished) => {
      waiting.push({ bytes: lineBytes(line), entry, onFinished });
      timer ??= setTimeout(() => void commitNow(), COMMIT_DELAY);
    },
    close: async (isComplete) => {
      try {
        await commitNow();
        if (failure !== undefined) throw failure;
        await guarded(path, () => journal.append({ ended: { complete: isComplete() } }));
      } finally {
        await results.close();
        await journal.close();
      }
    },
  };
}

/** A pipe or a terminal: what is written is finished. */
function streamWriter(path: string, onFailed: () => void): ResultWriter {
  const failing = (cause: unknown): RuntimeFailure => unwritable(path, cause);
  let failure: RuntimeFailure | undefined;
  let file: number;
  try {
    file = openSync(path, 'w');
  } catch (cause) {
    throw failing(cause);
  }
  return {
    write: (line, _entry, onFinished) => {
      if (failure !== undefined) return;
      const bytes = lineBytes(line);
      try {
        for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
      } catch (cause) {
        failure = failing(cause);
        onFailed();
        return;
      }
      onFinished();
    },
    close: () => {
      closeSync(file);
      return failure === undefined ? Promise.resolve() : Promise.reject(failure);
    },
  };
}

/** A file that grows by whole records, each on disk before `append` resolves. */
interface AppendedFile {
  readonly append: (record: JournalRecord) => Promise<void>;
  readonly close: () => Promise<void>;
}

function appendedFile(file: FileHandle, size: number): AppendedFile {
  let end = size;
  return {
    append: async (record) => {
      const bytes = Buffer.from(encodeRecord(record));
      const at = end;
      end += bytes.length;
      await writeAll(file, bytes, at);
      await file.datasync();
    },
    close: () => file.close(),
  };
}

/**
 * A new journal takes the place of an old one at once: a crash leaves either. Until the results are emptied they may
 * be older than the journal, which counts none of them.
 */
async function createJournal(resultsPath: string, batch: BatchIdentity): Promise<AppendedFile> {
  const path = journalPath(resultsPath);
  const draft = `${path}.new`;
  const header = Buffer.from(encodeHeader(batch));
  const file = await open(draft, 'w');
  try {
    await writeAll(file, header, 0);
    await file.datasync();
    await rename(draft, path);
    await syncDirectory(path);
  } catch (error) {
    await file.close();
    throw error;
  }
  return appendedFile(file, header.length);
}

async function reopen(
  resultsPath: string,
  start: Extract<BatchStart, { kind: 'resume' }>,
): Promise<AppendedFile> {
  const file = await open(journalPath(resultsPath), 'r+');
  // A record that was never whole would make the next one unreadable.
  await file.truncate(start.journal.bytes);
  return appendedFile(file, start.journal.bytes);
}

async function openResults(path: string, finishedBytes: number): Promise<FileHandle> {
  const file = await open(path, finishedBytes === 0 ? 'w' : 'r+');
  if (finishedBytes > 0) await file.truncate(finishedBytes);
  else await syncDirectory(path);
  return file;
}

/** Makes the names in a file's directory last; a directory cannot be synced everywhere. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

function lineBytes(line: object): Buffer {
  return Buffer.from(`${JSON.stringify(line)}\n`);
}

function unwritable(path: string, cause: unknown, help?: string): RuntimeFailure {
  return new RuntimeFailure('FC0918', `cannot write results to ${path}: ${systemReason(cause)}`, {
    subject: path,
    ...(help === undefined ? {} : { help }),
    cause,
  });
}

async function guarded<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw cause instanceof RuntimeFailure ? cause : unwritable(path, cause);
  }
}
