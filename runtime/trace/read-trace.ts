/** Reads the traces that runs and simulations write. */
import { constants } from 'node:buffer';
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { createLineSplitter, TOO_LONG, type SplitLine } from '../line-splitter.js';
import { systemReason } from '../system-reason.js';
import { isRecord, type ReadSlice, type ReadTrace } from './slices.js';

/** A trace, or why it could not be read. */
export type TraceOrProblem =
  { readonly kind: 'trace'; readonly trace: ReadTrace } | { readonly kind: 'problem'; readonly why: string };

/** An event of the trace-event format; times are in microseconds. */
interface Event {
  readonly name: string;
  readonly ph: string;
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

/** The trace of a file, or why there is none. A file that a killed run left behind is read as far as it goes. */
export function readTraceFile(path: string): TraceOrProblem {
  const problem = (why: string): TraceOrProblem => ({ kind: 'problem', why });
  let events: readonly Event[] | undefined;
  try {
    // A pipe can be read once.
    const whole = statSync(path).isFile() ? undefined : readFileSync(path);
    events = eventsOfLines(whole ? [whole] : piecesOf(path));
    if (events === undefined) {
      const bytes = whole ?? (statSync(path).size > MOST_DOCUMENT ? undefined : readFileSync(path));
      if (bytes === undefined || bytes.length > MOST_DOCUMENT)
        return problem(`${path} is no trace of one event a line, and too long (over 512 MiB) for any other`);
      events = eventsOfDocument(bytes.toString().replace(/^\ufeff/, ''));
    }
  } catch (cause) {
    return problem(`cannot read ${path}: ${systemReason(cause)}`);
  }
  const trace = events && fromEvents(events);
  return trace ? { kind: 'trace', trace } : problem(`${path} is not a trace of \`run\` or \`simulate\``);
}

const PIECE = 1 << 20;
/** Bytes of a line, far more than any event has. */
const MOST_LINE = 1 << 26;
/** Bytes of what is read as one text: no text may have more characters. */
const MOST_DOCUMENT = constants.MAX_STRING_LENGTH;

/** A file of any size, a piece at a time. */
function* piecesOf(path: string): Generator<Buffer> {
  const file = openSync(path, 'r');
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(PIECE);
      const bytes = readSync(file, piece, 0, PIECE, null);
      if (bytes === 0) return;
      yield piece.subarray(0, bytes);
    }
  } finally {
    closeSync(file);
  }
}

/**
 * Events of the array, one a line: what was cut short is no document any more, and one that is too long for a text can be
 * read so. Undefined where the lines are not of that form.
 */
function eventsOfLines(pieces: Iterable<Buffer>): readonly Event[] | undefined {
  const events: Event[] = [];
  let isFirst = true;
  let isCut = false;
  for (const line of linesOf(pieces)) {
    if (line === TOO_LONG) return undefined;
    // A byte order mark is a blank.
    const text = line.toString().trim();
    if (isFirst) {
      if (text !== '[') return undefined;
      isFirst = false;
      continue;
    }
    if (text === ']' || text === '') continue;
    // Only the last line may have been cut.
    if (isCut) return undefined;
    try {
      const event: unknown = JSON.parse(text.replace(/,$/, ''));
      if (!isEvent(event)) return undefined;
      if (!UNUSED.has(event.ph)) events.push(event);
    } catch {
      isCut = true;
    }
  }
  return isFirst ? undefined : events;
}

/** Counters and flows: many, and for the eye alone. */
const UNUSED = new Set(['C', 's', 't', 'f']);

function* linesOf(pieces: Iterable<Buffer>): Generator<SplitLine> {
  const splitter = createLineSplitter(MOST_LINE);
  for (const piece of pieces) yield* splitter.push(piece);
  yield* splitter.end();
}

/** Events of an array, or of an object that has it. */
function eventsOfDocument(text: string): readonly Event[] | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return undefined;
  }
  const events = Array.isArray(document)
    ? (document as readonly unknown[])
    : (document as { readonly traceEvents?: unknown } | null)?.traceEvents;
  return Array.isArray(events) && events.every(isEvent) ? events : undefined;
}

function isEvent(value: unknown): value is Event {
  if (!isRecord(value)) return false;
  const { name, ph } = value;
  return typeof name === 'string' && typeof ph === 'string' && (ph !== 'X' || isSlice(value));
}

/** Whether an event has what makes it a slice: what is damaged would turn figures into nonsense. */
function isSlice({ ts, dur = 0, pid, tid, args = {} }: Readonly<Record<string, unknown>>): boolean {
  const isTime = Number.isFinite(ts) && Number.isFinite(dur) && (dur as number) >= 0;
  return isTime && Number.isFinite(pid) && Number.isFinite(tid) && isRecord(args);
}

function fromEvents(events: readonly Event[]): ReadTrace | undefined {
  const names = (what: string, key: (event: Event) => string): ReadonlyMap<string, string> =>
    new Map(
      events.filter(({ name }) => name === what).map((event) => [key(event), String(event.args?.['name'])]),
    );
  const processes = names('process_name', ({ pid }) => String(pid));
  const threads = names('thread_name', ({ pid, tid }) => `${pid} ${tid}`);
  const run = events.find(({ name, ph }) => name === 'run' && ph === 'i');
  if (run === undefined) return undefined;
  const slices = events.flatMap(({ name, ph, ts, dur = 0, pid, tid, args = {} }): ReadSlice[] => {
    const [process, thread] = [processes.get(String(pid)), threads.get(`${pid} ${tid}`)];
    if (ph !== 'X' || process === undefined || thread === undefined) return [];
    const lane = thread.replace(/ \d+$/, '');
    return [{ process, thread: lane, row: tid, name, start: ts / 1e6, end: (ts + dur) / 1e6, args }];
  });
  const end = events.find(({ name, ph }) => name === 'end' && ph === 'i');
  return { about: run.args ?? {}, slices, ...(end?.args && { figures: end.args }) };
}
