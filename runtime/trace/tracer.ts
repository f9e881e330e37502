/**
 * What a run says about itself as it goes, for a timeline. Engine and executors call these functions whether anybody
 * listens or not; `NO_TRACE` does nothing.
 */
import type { Origin } from '../../compiler/diagnostics/diagnostic.js';

/**
 * A lane of the timeline: as its process a device (by its path), the host or the disk, as its thread what is done there.
 */
export interface TraceLane {
  readonly process: string;
  readonly thread: string;
}

/** Facts that are shown with a slice. */
export type TraceArgs = Readonly<Record<string, string | number | boolean | Origin | undefined>>;

/** Something under way. */
export interface Slice {
  /** Something within it; it must end first. */
  readonly child: (name: string, args?: TraceArgs) => Slice;
  /** Ties the slice into the path of a request: where it starts, goes through, and ends. */
  readonly flow: (phase: 'start' | 'through' | 'end', request: number) => void;
  readonly end: (args?: TraceArgs) => void;
}

/** Takes down what a run does. */
export interface Tracer {
  /**
   * Whether exchanges are to wait for the kernels before them, so that their slices tell the two apart. That costs a
   * round trip an exchange.
   */
  readonly apart?: boolean;
  /** Begins a slice; slices of a lane that overlap are shown in rows of their own. */
  readonly begin: (lane: TraceLane, name: string, args?: TraceArgs) => Slice;
  /** A counter's values from now on. They are asked for only when they are wanted. */
  readonly counter: (name: string, values: () => Readonly<Record<string, number>>) => void;
}

/** A slice that nobody takes down. */
export const NO_SLICE: Slice = { child: () => NO_SLICE, flow: () => undefined, end: () => undefined };

/** A tracer that takes nothing down. */
export const NO_TRACE: Tracer = { begin: () => NO_SLICE, counter: () => undefined };

/** Several slices as one: what the ranks of a group do in step. Flows go through the first. */
export function together(slices: readonly Slice[]): Slice {
  return {
    child: (name, args) => together(slices.map((slice) => slice.child(name, args))),
    flow: (phase, request) => slices[0]?.flow(phase, request),
    end: (args) => {
      for (const slice of slices) slice.end(args);
    },
  };
}

/** Does something at once, as a slice. */
export function traced<T>(tracer: Tracer, lane: TraceLane, name: string, what: () => T, args?: TraceArgs): T {
  const slice = tracer.begin(lane, name, args);
  try {
    return what();
  } finally {
    slice.end();
  }
}

/** Lanes of the host, from top to bottom. */
export const HOST = {
  requests: { process: 'host', thread: 'requests' },
  tokenise: { process: 'host', thread: 'tokenise' },
  schedule: { process: 'host', thread: 'schedule' },
  encode: { process: 'host', thread: 'encode' },
  sample: { process: 'host', thread: 'sample' },
  transitions: { process: 'host', thread: 'transitions' },
} satisfies Record<string, TraceLane>;

/** Lanes of the disk: when KV goes over its link, weights and KV. */
export const DISK = {
  link: { process: 'disk', thread: 'link' },
  read: { process: 'disk', thread: 'read' },
  write: { process: 'disk', thread: 'write' },
} satisfies Record<string, TraceLane>;

const DEVICE_THREADS = ['queue', 'link', 'copy', 'weights'] as const;

/**
 * Lanes of a device: its kernels, when KV and weights brought near go over its link, its KV moves, its weight moves. Moves
 * last from when they are asked for. Only simulations know what is on a link when.
 */
export function deviceLane(path: string, thread: (typeof DEVICE_THREADS)[number]): TraceLane {
  return { process: path, thread };
}

/** Threads in the order in which a timeline shows those of a process, whichever has something to show first. */
export const THREADS: readonly string[] = [
  ...DEVICE_THREADS,
  ...[HOST, DISK].flatMap((lanes) => Object.values<TraceLane>(lanes).map(({ thread }) => thread)),
];
