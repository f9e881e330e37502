/**
 * Writes a trace as a file that Perfetto (ui.perfetto.dev) and chrome://tracing open: the JSON array form of the
 * trace-event format, one event per line, times in microseconds since the file was opened.
 *
 * Events are written as they end, a buffer at a time, so a trace of any length takes little memory. The format lets the
 * closing bracket be missing: what a killed run leaves behind opens as well.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import type { Origin } from '../../compiler/diagnostics/diagnostic.js';
import { RuntimeFailure } from '../failure.js';
import { draftOf, placeToTake } from '../replaced-file.js';
import { systemReason } from '../system-reason.js';
import { THREADS, type TraceLane, type Slice, type TraceArgs, type Tracer } from './tracer.js';

/** A tracer that writes to a file. */
export interface TraceFile extends Tracer {
  /**
   * Ends what is still under way and completes the file; once it is closed, nothing happens.
   *
   * @param figures of the whole run, the arguments of its last event; none of a run that was cut short
   */
  readonly close: (figures?: TraceFigures) => void;
}

/** What a trace says of its run as a whole. */
export interface TraceFigures {
  /** Peak bytes of device memory by path. */
  readonly peakMemory: Readonly<Record<string, number>>;
  /** The same without what was taken of spare memory; absent where nothing was. */
  readonly plannedPeak?: Readonly<Record<string, number>>;
  /** Requests that an earlier run had finished. */
  readonly resumed: number;
  /** Requests of the file that were to be taken at most, where there are more. */
  readonly limited?: number;
}

/** What a trace file is written with. */
export interface TraceFileOptions {
  /** An origin as `file:line:column`. */
  readonly describe: (origin: Origin) => string;
  /** Facts about the run, shown as arguments of its first event. */
  readonly about: Readonly<Record<string, unknown>>;
  /** From top to bottom; others come below, as they come up. */
  readonly processes?: readonly string[];
  /** Called once when the file cannot be written any more; the run goes on without. */
  readonly onBroken: (reason: string) => void;
  /** The time now in milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /** See `Tracer`. */
  readonly apart?: boolean;
  /** The file takes the place of what was there once it is complete, and not before. */
  readonly isWhole?: boolean;
}

/** Characters of a buffer, which is written when it is full. */
const FLUSH_CHARACTERS = 1 << 16;

/** Rows of a lane that have places of their own before the next lane: more than overlap anywhere. */
const MOST_ROWS = 1 << 16;

/** Microseconds between two values of a counter. */
const COUNTER_INTERVAL = 5000;

const FLOW_PHASES = { start: 's', through: 't', end: 'f' } as const;

/** How device times come about; stated in every trace. */
const TIMES = 'as the host sees them: from the first submit of a slice to its last exchange or read';

/** A row that shows one slice at a time, and those within it. */
interface Row {
  readonly pid: number;
  readonly tid: number;
  busy: boolean;
}

/** A counter, with what it came to last: without its last value a trace would not tell how the counter ended. */
interface Counted {
  /** When a value was last written. */
  readonly written: number;
  readonly values: () => Readonly<Record<string, number>>;
}

/** Opens the file, replacing what was there, at once or in the end. Throws RuntimeFailure FC0940 when it cannot. */
export function openTraceFile(path: string, options: TraceFileOptions): TraceFile {
  const now = options.now ?? (() => performance.now());
  const begun = now();
  const time = (): number => Math.round((now() - begun) * 1e6) / 1e3;
  const output = openOutput(path, options);
  const processes = new Map<string, { readonly pid: number; readonly lanes: Map<string, Row[]> }>();
  const open = new Set<(args?: TraceArgs) => void>();
  const counted = new Map<string, Counted>();
  let threads = 0;
  let closed = false;

  const nameOf = (
    what: 'process' | 'thread',
    pid: number,
    tid: number,
    name: string,
    place: number,
  ): void => {
    output.write({ name: `${what}_name`, ph: 'M', pid, tid, args: { name } });
    output.write({ name: `${what}_sort_index`, ph: 'M', pid, tid, args: { sort_index: place } });
  };
  const pids = new Map((options.processes ?? []).map((name, index) => [name, index + 1]));
  const pidOf = (name: string): number => {
    const pid = pids.get(name) ?? pids.size + 1;
    pids.set(name, pid);
    return pid;
  };
  const processOf = (name: string) => {
    const known = processes.get(name);
    if (known !== undefined) return known;
    const made = { pid: pidOf(name), lanes: new Map<string, Row[]>() };
    processes.set(name, made);
    nameOf('process', made.pid, 0, name, made.pid);
    return made;
  };
  /** A row of the lane with nothing on it. */
  const freeRow = ({ process, thread }: TraceLane): Row => {
    const { pid, lanes } = processOf(process);
    const rows = lanes.get(thread) ?? [];
    lanes.set(thread, rows);
    const free = rows.find(({ busy }) => !busy);
    if (free !== undefined) return free;
    const made = { pid, tid: ++threads, busy: false };
    rows.push(made);
    const name = rows.length === 1 ? thread : `${thread} ${rows.length}`;
    nameOf('thread', pid, made.tid, name, MOST_ROWS * placeOf(thread) + rows.length);
    return made;
  };
  const plain = (args: TraceArgs): Record<string, string | number | boolean> =>
    Object.fromEntries(
      Object.entries(args).flatMap(([key, value]) => {
        if (value === undefined) return [];
        return [[key, typeof value === 'object' ? options.describe(value) : value]];
      }),
    );
  const slice = (row: Row, name: string, args: TraceArgs, ended: () => void): Slice => {
    const ts = time();
    const { pid, tid } = row;
    const end = (more: TraceArgs = {}): void => {
      if (!open.delete(end)) return;
      const dur = Math.round((time() - ts) * 1e3) / 1e3;
      output.write({ name, cat: 'fulcrum', ph: 'X', ts, dur, pid, tid, args: plain({ ...args, ...more }) });
      ended();
    };
    open.add(end);
    return {
      child: (inner, innerArgs = {}) => slice(row, inner, innerArgs, () => undefined),
      flow: (phase, id) => {
        const ph = FLOW_PHASES[phase];
        output.write({ name: 'request', cat: 'request', ph, id, ts: time(), pid, tid, bp: 'e' });
      },
      end,
    };
  };

  const about = processOf('host');
  const facts = { device_times: TIMES, ...options.about };
  output.write({ name: 'run', ph: 'i', s: 'g', ts: 0, pid: about.pid, tid: 0, args: facts });

  return {
    apart: options.apart ?? false,
    begin(lane, name, args = {}) {
      const row = freeRow(lane);
      row.busy = true;
      return slice(row, name, args, () => (row.busy = false));
    },
    counter(name, values) {
      const ts = time();
      const written = counted.get(name)?.written ?? -Infinity;
      const isDue = ts - written >= COUNTER_INTERVAL;
      counted.set(name, { written: isDue ? ts : written, values });
      if (isDue) output.write({ name, ph: 'C', ts, pid: about.pid, tid: 0, args: values() });
    },
    close(figures) {
      if (closed) return;
      closed = true;
      // Those within others were begun later and end first.
      for (const end of [...open].reverse()) end({ interrupted: true });
      const ts = time();
      for (const [name, { written, values }] of counted)
        if (ts > written) output.write({ name, ph: 'C', ts, pid: about.pid, tid: 0, args: values() });
      if (figures !== undefined)
        output.write({ name: 'end', ph: 'i', s: 'g', ts: time(), pid: about.pid, tid: 0, args: figures });
      output.close(figures !== undefined);
    },
  };
}

/** Of lanes that are not known, the last. */
function placeOf(thread: string): number {
  const place = THREADS.indexOf(thread);
  return place < 0 ? THREADS.length : place;
}

interface Output {
  readonly write: (event: object) => void;
  readonly close: (isComplete: boolean) => void;
}

function openOutput(path: string, { onBroken, isWhole = false }: TraceFileOptions): Output {
  const place = isWhole ? placeToTake(path) : undefined;
  const draft = place === undefined ? undefined : draftOf(place);
  let file: number;
  try {
    file = openSync(draft?.path ?? path, 'w');
  } catch (cause) {
    throw new RuntimeFailure('FC0940', `cannot write ${path}: ${systemReason(cause)}`, {
      subject: path,
      cause,
    });
  }
  let buffer = '[\n';
  let isFirst = true;
  let broken = false;
  /** Does it unless something went wrong before; says so when it does. */
  const unlessBroken = (act: () => void): void => {
    if (broken) return;
    try {
      act();
    } catch (error) {
      broken = true;
      onBroken(`cannot write ${path}: ${systemReason(error)}`);
    }
  };
  const flush = (): void => {
    unlessBroken(() => writeFileSync(file, buffer));
    buffer = '';
  };
  return {
    write(event) {
      if (broken) return;
      buffer += (isFirst ? '' : ',\n') + JSON.stringify(event);
      isFirst = false;
      if (buffer.length >= FLUSH_CHARACTERS) flush();
    },
    close(isComplete) {
      buffer += '\n]\n';
      flush();
      closeSync(file);
      if (draft === undefined) return;
      if (isComplete) unlessBroken(draft.finish);
      if (!isComplete || broken) draft.discard();
    },
  };
}
