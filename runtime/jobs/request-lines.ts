/** Reads a batch file line by line, without holding it in memory. Blank lines are skipped. */
import { isUtf8 } from 'node:buffer';
import { closeSync, constants, createReadStream, openSync, readlinkSync, readSync, statSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { RuntimeFailure } from '../failure.js';
import { createLineSplitter, TOO_LONG, type SplitLine } from '../line-splitter.js';
import { systemReason } from '../system-reason.js';
import type { RequestError } from './request-error.js';

export interface RequestLine {
  /** From 1, as editors count. */
  readonly number: number;
  readonly text: string;
  /**
   * Why it cannot be read as it is: some of its bytes are no UTF-8, and other characters stand for them in `text`, or it
   * is too long, and `text` has nothing of it.
   */
  readonly unreadable?: RequestError;
}

const MIB = 1 << 20;
/** Bytes of a line. More than any request needs, and few enough for a text in memory. */
const MOST_LINE = 64 * MIB;

const NOT_UTF8: RequestError = { code: 'invalid_json', message: 'the line is not UTF-8' };
const BEYOND_MOST: RequestError = {
  code: 'invalid_request',
  message: `the line has more than ${MOST_LINE / MIB} MiB`,
};

/**
 * The lines of a batch file. Ends early when the signal aborts, also while a pipe has nothing to give. Fails with
 * FC0916 when the file cannot be read or holds no request.
 */
export async function* readRequestLines(path: string, signal?: AbortSignal): AsyncGenerator<RequestLine> {
  const stream = await openInput(path, signal);
  const end = (): void => void stream.destroy();
  signal?.addEventListener('abort', end);
  const splitter = createLineSplitter(MOST_LINE);
  let number = 0;
  let found = 0;
  const requestsOf = function* (lines: readonly SplitLine[]): Generator<RequestLine> {
    for (const line of lines) {
      number++;
      const request = requestLine(number, line);
      if (signal?.aborted || request === undefined) continue;
      found++;
      yield request;
    }
  };
  try {
    if (signal?.aborted) return;
    for await (const chunk of stream) yield* requestsOf(splitter.push(chunk as Buffer));
    yield* requestsOf(splitter.end());
  } catch (cause) {
    // An abort ends the stream before its time.
    if (!signal?.aborted) throw unreadable(path, cause);
  } finally {
    signal?.removeEventListener('abort', end);
    end();
  }
  if (found === 0 && !signal?.aborted) throw holdsNone(path);
}

/** A line as a request; undefined when it is blank. */
function requestLine(number: number, bytes: SplitLine): RequestLine | undefined {
  if (bytes === TOO_LONG) return { number, text: '', unreadable: BEYOND_MOST };
  const decoded = bytes.toString();
  const text = number === 1 ? decoded.replace(/^\ufeff/, '') : decoded;
  if (text.trim() === '') return undefined;
  return { number, text, ...(!isUtf8(bytes) && { unreadable: NOT_UTF8 }) };
}

/** A pipe is read by events: a read of a file that waits for a pipe cannot be given up, not even by exiting. */
async function openInput(path: string, signal: AbortSignal | undefined): Promise<Readable> {
  try {
    const isPipe = statSync(path).isFIFO();
    return isPipe ? await openPipe(path, signal) : createReadStream(path, { fd: openSync(path, 'r') });
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** Milliseconds between looks for a writer. */
const WRITER_WAIT = 20;

/**
 * A pipe once it has a writer. Opening it as a file would wait for one and could not be given up either, so it is
 * opened without waiting: a read then gives nothing while there is no writer, EAGAIN once there is one. A pipe without a
 * name had its writer from the start: where a read gives nothing, there was nothing.
 */
async function openPipe(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const first = hasHadWriter(path, fd) ? undefined : await firstOfWriter(fd, signal);
  const socket = new Socket({ fd, readable: true, writable: false });
  if (first !== undefined) socket.unshift(first);
  return socket;
}

/** Names of what this process, or another, has open already. */
const DESCRIPTOR = /^\/(dev\/(stdin|fd\/\d+)|proc\/(self|\d+)\/fd\/\d+)$/;

/** Whether somebody has had the pipe open before: without a writer, its end has come. */
function hasHadWriter(path: string, fd: number): boolean {
  if (DESCRIPTOR.test(path)) return true;
  try {
    // By another name, a link to one of those; only Linux tells.
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith('pipe:');
  } catch {
    return false;
  }
}

/** Waits for a writer of a pipe; what it had written by then, if anything. Closes the pipe when that fails. */
async function firstOfWriter(fd: number, signal: AbortSignal | undefined): Promise<Buffer | undefined> {
  const chunk = Buffer.alloc(PIPE_CHUNK);
  while (!signal?.aborted) {
    try {
      const bytes = readSync(fd, chunk);
      if (bytes > 0) return chunk.subarray(0, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
      closeSync(fd);
      throw error;
    }
    await setTimeout(WRITER_WAIT);
  }
  return undefined;
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
const PIPE_CHUNK = 1 << 16;
const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/** Lines that have anything but blanks. */
function countFilledLines(file: number): number {
  const chunk = Buffer.alloc(COUNT_CHUNK);
  const read = (at: number): number => readSync(file, chunk, 0, COUNT_CHUNK, at);
  const marked = chunk.subarray(0, Math.min(3, read(0))).equals(BYTE_ORDER_MARK);
  let count = 0;
  let filled = false;
  let at = marked ? BYTE_ORDER_MARK.length : 0;
  for (let bytes = read(at); bytes > 0; bytes = read(at)) {
    at += bytes;
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
