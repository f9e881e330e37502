/**
 * How a batch starts on its results file: afresh, where an earlier run stopped, or not at all. What is finished is
 * read from the journal beside the results, and trusted only where it and the results bear each other out.
 *
 * | there is                                     | new    | resume                    | overwrite |
 * | -------------------------------------------- | ------ | ------------------------- | --------- |
 * | no results, or none finished                 | afresh | afresh                    | afresh    |
 * | journal of a run cut short                   | FC0930 | go on                     | afresh    |
 * | journal of a complete run                    | FC0930 | go on (with what is left) | afresh    |
 * | results, or anything else, without a journal | FC0930 | FC0932                    | afresh    |
 * | damaged journal                              | FC0932 | FC0932                    | afresh    |
 * | a process that runs the batch (after a wait) | FC0933 | FC0933                    | FC0933    |
 */
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';
import {
  identityDifferences,
  parseJournal,
  type BatchIdentity,
  type FinishedRequest,
  type Journal,
} from './journal-format.js';
import { isRunning, OWNER_POLL_MS, OWNER_WAIT_MS, runInProgress } from './process-mark.js';

/** `new` refuses to replace anything, `overwrite` does not. */
export type StartMode = 'new' | 'resume' | 'overwrite';

export type BatchStart =
  /** The results go to something that is no file (a pipe, a terminal): nothing can be known about them later. */
  | { readonly kind: 'stream' }
  | { readonly kind: 'fresh' }
  | { readonly kind: 'resume'; readonly journal: Journal };

/** Path of the journal that belongs to a results file. */
export function journalPath(resultsPath: string): string {
  return `${resultsPath}.journal`;
}

/** What results are compared with before they are gone on from. */
export interface OwnBatch {
  readonly batch: BatchIdentity;
  /** Tokens of one sequence that the plan's KV pools have room for. */
  readonly room: number;
}

/** Decides how to start; changes nothing. Rejects with the codes of the table, or FC0931 when the batch is another. */
export async function planStart(resultsPath: string, mode: StartMode, own: OwnBatch): Promise<BatchStart> {
  const results = statSync(resultsPath, { throwIfNoEntry: false });
  if (results !== undefined && !results.isFile()) {
    if (mode !== 'resume') return { kind: 'stream' };
    throw new RuntimeFailure('FC0932', `cannot resume: ${resultsPath} is not a file`, {
      subject: resultsPath,
      help: 'a batch can be resumed when --out is a regular file',
    });
  }
  const parsed = await readJournal(resultsPath);
  const isEmpty = (results?.size ?? 0) === 0;
  if (mode === 'overwrite') return { kind: 'fresh' };
  if (parsed === undefined) {
    if (isEmpty) return { kind: 'fresh' };
    throw mode === 'resume' ? withoutJournal(resultsPath) : notOfARun(resultsPath);
  }
  if (parsed.problem !== undefined) throw unusable(resultsPath, parsed.problem);
  const { journal } = parsed;
  if (mode === 'resume') {
    refuseOtherBatch(resultsPath, journal, own);
    checkResults(resultsPath, journal.finished);
    return { kind: 'resume', journal };
  }
  if (!isEmpty && journal.finished.length > 0) throw alreadyThere(resultsPath, journal);
  return { kind: 'fresh' };
}

/** The journal once no process holds it any more; undefined when there is none. Rejects with FC0933. */
async function readJournal(resultsPath: string): Promise<ReturnType<typeof parseJournal> | undefined> {
  const path = journalPath(resultsPath);
  for (let waited = 0; ; waited += OWNER_POLL_MS) {
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw unusable(resultsPath, systemReason(cause), cause);
    }
    const parsed = parseJournal(bytes);
    const owner = parsed.problem === undefined ? parsed.journal.owner : undefined;
    if (owner === undefined || !isRunning(owner)) return parsed;
    if (waited >= OWNER_WAIT_MS) throw runInProgress(resultsPath, owner);
    await setTimeout(OWNER_POLL_MS);
  }
}

function refuseOtherBatch(resultsPath: string, { batch, finished }: Journal, own: OwnBatch): void {
  const differences = [...identityDifferences(batch, own.batch), ...roomDifferences(finished, own.room)];
  if (differences.length === 0) return;
  const named = differences.map((d) => `\n  ${d.name}: ${d.before} in the journal, ${d.now} now`).join('');
  throw new RuntimeFailure('FC0931', `${resultsPath} is of another batch than this one:${named}`, {
    subject: resultsPath,
    help: 'resume with what the batch was begun with, name another file with --out, or start again with --overwrite',
  });
}

/** Results that end where KV pools ended are those of a plan whose pools end there, and of no other. */
function roomDifferences(
  finished: readonly FinishedRequest[],
  now: number,
): ReturnType<typeof identityDifferences> {
  const rooms = finished.flatMap(({ room }) => (room === undefined || room === now ? [] : [room]));
  return [...new Set(rooms)].map((room) => {
    const count = rooms.filter((each) => each === room).length;
    const results = `${count} ${count === 1 ? 'result' : 'results'}`;
    return {
      name: 'KV room of a sequence',
      before: `${room} tokens, too few for ${results}`,
      now: `${now} tokens`,
    };
  });
}

/** The request file has another line than the one that was answered. */
export function otherRequest(resultsPath: string, line: number): RuntimeFailure {
  return new RuntimeFailure(
    'FC0931',
    `${resultsPath} is of another batch than this one: line ${line} of the requests is not the one that was answered`,
    { subject: resultsPath, help: 'resume with the requests that the batch was begun with' },
  );
}

const CHUNK = 1 << 20;

/** Every finished request's line must be in the results as it was written. Fails with FC0932. */
function checkResults(resultsPath: string, finished: readonly FinishedRequest[]): void {
  if (finished.length === 0) return;
  const fail = (why: string): never => {
    throw unusable(resultsPath, why);
  };
  const size = statSync(resultsPath, { throwIfNoEntry: false })?.size;
  if (size === undefined) return fail('the results it belongs to are gone');
  const file = openSync(resultsPath, 'r');
  try {
    let begin = 0;
    for (const { line, end, crc } of finished) {
      if (end > size) fail(`the results end before the result of line ${line}`);
      if (crcOf(file, begin, end) !== crc)
        fail(`the result of line ${line} was changed after it was written`);
      begin = end;
    }
  } finally {
    closeSync(file);
  }
}

function crcOf(file: number, begin: number, end: number): number {
  const chunk = Buffer.alloc(Math.min(CHUNK, end - begin));
  let crc = 0;
  for (let at = begin; at < end;) {
    const count = readSync(file, chunk, 0, Math.min(chunk.length, end - at), at);
    if (count === 0) return -1;
    crc = crc32(chunk.subarray(0, count), crc);
    at += count;
  }
  return crc;
}

const FRESH = '`--overwrite` starts the batch again and replaces the results';

function alreadyThere(resultsPath: string, { finished, complete }: Journal): RuntimeFailure {
  const count = finished.length;
  const results = `${count} finished ${count === 1 ? 'result' : 'results'}`;
  const [run, goesOn] = complete
    ? ['complete', 'does what requests there are beyond these, if any']
    : ['cut short', 'goes on where it stopped'];
  return new RuntimeFailure('FC0930', `${resultsPath} holds ${results} of a run that was ${run}`, {
    subject: resultsPath,
    help: `\`--resume\` ${goesOn}; ${FRESH}`,
  });
}

function notOfARun(resultsPath: string): RuntimeFailure {
  return new RuntimeFailure(
    'FC0930',
    `${resultsPath} is there already, and no journal says that it holds results of a run`,
    { subject: resultsPath, help: 'name another file with --out; `--overwrite` replaces this one' },
  );
}

function withoutJournal(resultsPath: string): RuntimeFailure {
  return new RuntimeFailure(
    'FC0932',
    `cannot resume: ${resultsPath} has no journal (${journalPath(resultsPath)}), which says what is finished`,
    { subject: resultsPath, help: FRESH },
  );
}

function unusable(resultsPath: string, why: string, cause?: unknown): RuntimeFailure {
  return new RuntimeFailure('FC0932', `cannot use the journal ${journalPath(resultsPath)}: ${why}`, {
    subject: journalPath(resultsPath),
    help: FRESH,
    cause,
  });
}
