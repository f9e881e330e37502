/** Reads the traces that runs and simulations write. */
import { readFileSync } from 'node:fs';
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
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    return { kind: 'problem', why: `cannot read ${path}: ${systemReason(cause)}` };
  }
  const events = parseEvents(text);
  const trace = events && fromEvents(events);
  if (trace === undefined)
    return { kind: 'problem', why: `${path} is not a trace of \`run\` or \`simulate\`` };
  return { kind: 'trace', trace };
}

/** The events of a trace, as it was written or by whatever else wrote it anew; undefined where it is none. */
function parseEvents(text: string): readonly Event[] | undefined {
  return eventsOfLines(text) ?? eventsOfDocument(text);
}

/** Events of the array, one a line: what was cut short is no document any more. */
function eventsOfLines(text: string): readonly Event[] | undefined {
  const lines = text.trimEnd().split(/\r?\n/);
  if (lines[0]?.trim() !== '[') return undefined;
  const events: Event[] = [];
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line === ']') continue;
    try {
      const event: unknown = JSON.parse(line.replace(/,$/, ''));
      if (!isEvent(event)) return undefined;
      events.push(event);
    } catch {
      // The last line may have been cut.
      if (index < lines.length - 1) return undefined;
    }
  }
  return events;
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
