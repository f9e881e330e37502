/** Reads a batch file line by line, without holding it in memory. Blank lines are skipped. */
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';

export interface RequestLine {
  /** From 1, as editors count. */
  readonly number: number;
  readonly text: string;
}

/** The lines of a batch file. Fails with FC0916 when the file cannot be read or holds no request. */
export async function* readRequestLines(path: string): AsyncGenerator<RequestLine> {
  const stream = createReadStream(path, { encoding: 'utf8' });
  const lines = createInterface({ input: stream, crlfDelay: Infinity });
  let number = 0;
  let found = 0;
  try {
    for await (const line of lines) {
      number++;
      const text = number === 1 ? line.replace(/^\ufeff/, '') : line;
      if (text.trim() === '') continue;
      found++;
      yield { number, text };
    }
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    lines.close();
    stream.destroy();
  }
  if (found === 0) throw holdsNone(path);
}

/** How many requests a batch file holds; reads it once. Fails as `readRequestLines` does. */
export function countRequests(path: string): number {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const count = countFilledLines(file);
    if (count === 0) throw holdsNone(path);
    return count;
  } catch (cause) {
    throw cause instanceof RuntimeFailure ? cause : unreadable(path, cause);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

const LINE_BREAK = 0x0a;
const COUNT_CHUNK = 1 << 20;

/** Lines that have anything but blanks. */
function countFilledLines(file: number): number {
  const chunk = Buffer.alloc(COUNT_CHUNK);
  let count = 0;
  let filled = false;
  for (let bytes = readSync(file, chunk); bytes > 0; bytes = readSync(file, chunk)) {
    for (let i = 0; i < bytes; i++) {
      const byte = chunk[i]!;
      if (byte > 0x20) filled = true;
      else if (byte === LINE_BREAK) {
        count += Number(filled);
        filled = false;
      }
    }
  }
  return count + Number(filled);
}

function unreadable(path: string, cause: unknown): RuntimeFailure {
  return new RuntimeFailure('FC0916', `cannot read the requests in ${path}: ${systemReason(cause)}`, {
    subject: path,
    cause,
  });
}

function holdsNone(path: string): RuntimeFailure {
  return new RuntimeFailure('FC0916', `${path} holds no requests`, {
    subject: path,
    help: 'it must have one JSON object per line: {"custom_id", "method", "url", "body"}',
  });
}
