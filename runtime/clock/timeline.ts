/**
 * What happened on the clock, for a trace and for charts: the slices that a run on devices would have shown, on the same
 * lanes and under the same names. Their times are known when they are added, which may be before they have come.
 */
import { createHeap } from '../../compiler/reshard/heap.js';
import type { TraceLane, Slice, TraceArgs, Tracer } from '../trace/tracer.js';
import type { TimedName } from '../trace/categories.js';
import { createSampler, type Sampler } from './sampler.js';

/** A slice within another one. */
export interface InnerSlice {
  readonly name: string;
  /** Seconds on the clock. */
  readonly start: number;
  readonly end: number;
  readonly args?: TraceArgs;
}

/** A slice on a lane. */
export interface TimedSlice extends InnerSlice {
  readonly lane: TraceLane;
  /** Slices within it that do not overlap, in order; asked for only when they are wanted, for there may be many. */
  readonly within?: () => readonly InnerSlice[];
  /** About how many slices `within` has. */
  readonly withinCount?: number;
  /** Requests whose paths lead through it, and whether they start or end there. */
  readonly flows?: readonly { readonly phase: 'start' | 'through' | 'end'; readonly request: number }[];
}

/** Values of a counter at a time, in seconds. */
export interface CounterSample {
  readonly time: number;
  readonly values: Readonly<Record<string, number>>;
}

/** Takes slices and counters of a simulation. */
export interface Timeline {
  /** Whether slices of a lane are kept: others need not be made. */
  readonly keeps: (lane: TraceLane) => boolean;
  readonly add: (slice: TimedSlice) => void;
  /** A counter's values from a time on; asked for only when they are wanted. */
  readonly count: (time: number, name: string, values: () => CounterSample['values']) => void;
  /** The slices that are kept, in the order in which they were added. */
  readonly slices: () => readonly TimedSlice[];
  /** Samples of every counter by its name: as many as a chart can show, and what it came to last. */
  readonly counters: () => ReadonlyMap<string, readonly CounterSample[]>;
}

/** @param keeps lanes that are of interest: of many devices and requests all slices are more than memory holds */
export function createTimeline(keeps: (lane: TraceLane) => boolean = () => true): Timeline {
  const slices: TimedSlice[] = [];
  const counters = new Map<string, Sampler<CounterSample>>();
  const last = new Map<string, { readonly time: number; readonly values: () => CounterSample['values'] }>();
  return {
    keeps,
    add(slice) {
      if (keeps(slice.lane)) slices.push(slice);
    },
    count(time, name, values) {
      const sampler = counters.get(name) ?? createSampler();
      counters.set(name, sampler);
      last.set(name, { time, values });
      if (sampler.isDue(time)) sampler.add(time, { time, values: values() });
    },
    slices: () => slices,
    counters() {
      for (const [name, { time, values }] of last)
        counters.get(name)!.close(time, { time, values: values() });
      last.clear();
      return new Map([...counters].map(([name, sampler]) => [name, sampler.samples()]));
    },
  };
}

/**
 * Tells a tracer the timeline in the order of time. Of things at one moment those that end come first, so that what
 * follows finds their rows free.
 *
 * @param at sets the tracer's clock; seconds
 * @param inner whether slices within others are told
 */
export function replay(
  timeline: Timeline,
  tracer: Tracer,
  at: (seconds: number) => void,
  inner = true,
): void {
  const open = createHeap<{ readonly end: number; readonly order: number; readonly slice: Slice }>(
    (a, b) => a.end - b.end || b.order - a.order,
  );
  const endUntil = (time: number): void => {
    for (let next = open.peek(); next !== undefined && next.end <= time; next = open.peek()) {
      at(next.end);
      next.slice.end();
      open.pop();
    }
  };
  let order = 0;
  for (const moment of moments(timeline)) {
    endUntil(moment.time);
    at(moment.time);
    if (moment.kind === 'counter') {
      tracer.counter(moment.name, () => moment.values);
      continue;
    }
    const { lane, name, args, end, flows, within } = moment.slice;
    const slice = tracer.begin(lane, name, args);
    for (const { phase, request } of flows ?? []) slice.flow(phase, request);
    for (const child of inner ? (within?.() ?? []) : []) {
      at(child.start);
      const begun = slice.child(child.name, child.args);
      at(child.end);
      begun.end();
    }
    open.push({ end, order: order++, slice });
  }
  endUntil(Infinity);
}

type Moment =
  | { readonly kind: 'slice'; readonly time: number; readonly slice: TimedSlice }
  | ({ readonly kind: 'counter'; readonly time: number; readonly name: string } & CounterSample);

/** Beginnings of slices and samples of counters in the order of time; what was added first comes first. */
function moments(timeline: Timeline): readonly Moment[] {
  const slices = timeline.slices().map((slice): Moment => ({ kind: 'slice', time: slice.start, slice }));
  const samples = [...timeline.counters()].flatMap(([name, all]) =>
    all.map((sample): Moment => ({ kind: 'counter', name, ...sample })),
  );
  return [...slices, ...samples].sort((a, b) => a.time - b.time);
}

/**
 * The slices of a timeline and those within them, each on its lane, in the order of their beginnings. Those within a slice
 * are made when it begins and are gone when it is over: all of them together may be more than memory holds.
 */
export function* flatSlices(timeline: Timeline): Generator<TimedName, void, undefined> {
  const open = createHeap<OpenSlice>((a, b) => a.within[a.next]!.start - b.within[b.next]!.start);
  function* begunBefore(time: number): Generator<TimedName, void, undefined> {
    for (let top = open.peek(); top !== undefined; top = open.peek()) {
      const { lane, within, next } = top;
      const { name, start, end } = within[next]!;
      if (start >= time) return;
      yield { ...lane, name, start, end };
      open.pop();
      top.next++;
      if (top.next < within.length) open.push(top);
    }
  }
  for (const { lane, name, start, end, within } of timeline.slices().toSorted((a, b) => a.start - b.start)) {
    yield* begunBefore(start);
    yield { ...lane, name, start, end };
    const inner = within?.() ?? [];
    if (inner.length > 0) open.push({ lane, within: inner, next: 0 });
  }
  yield* begunBefore(Infinity);
}

/** A slice with some of those within it still to come. */
interface OpenSlice {
  readonly lane: TraceLane;
  readonly within: readonly InnerSlice[];
  next: number;
}
