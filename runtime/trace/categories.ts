/**
 * What the time of a trace went into, by category: the same for a run on devices and for a simulation of it, so that the
 * two can be compared.
 *
 * A category's seconds are added up over devices; on one device, what overlaps counts once. Kernels are told from the
 * exchanges behind them only in traces that have slices of them (`run --trace-kernels`, simulations); elsewhere an
 * exchange begins when its kernels are submitted, and the two are one category.
 */
import type { ReadSlice } from './slices.js';

/** The part of a slice that a category goes by. */
export type TimedName = Pick<ReadSlice, 'process' | 'thread' | 'name' | 'start' | 'end'>;

export interface Category {
  readonly name: string;
  /** A category that this one is a part of. */
  readonly of?: string;
  readonly matches: (slice: TimedName) => boolean;
}

const on =
  (thread: string, pattern: RegExp) =>
  (slice: TimedName): boolean =>
    slice.thread === thread && pattern.test(slice.name);

const onHost =
  (pattern: RegExp) =>
  ({ process, thread }: TimedName): boolean =>
    process === 'host' && pattern.test(thread);

/** Moves of weights, apart from those in traces of the host. */
const onDevice =
  (pattern: RegExp) =>
  (slice: TimedName): boolean =>
    slice.process !== 'host' && on('weights', pattern)(slice);

const STEPS = 'steps';
const EXCHANGES = /^((all_reduce|all_gather|reduce_scatter) |(send|recv|read samples)$)/;

export const CATEGORIES: readonly Category[] = [
  { name: 'prefill steps', matches: on('queue', / prefill$/) },
  { name: 'decode steps', matches: on('queue', / decode$/) },
  { name: 'kernels', of: STEPS, matches: on('queue', /^kernels$/) },
  { name: 'collectives', of: STEPS, matches: on('queue', /^(all_reduce|all_gather|reduce_scatter) /) },
  { name: 'sends and receives', of: STEPS, matches: on('queue', /^(send|recv)$/) },
  { name: 'samples', of: STEPS, matches: on('queue', /^read samples$/) },
  {
    name: 'kernels and exchanges',
    of: STEPS,
    matches: (slice) => slice.thread === 'queue' && (slice.name === 'kernels' || EXCHANGES.test(slice.name)),
  },
  { name: 'waits for weights', of: STEPS, matches: on('queue', /^wait for weights$/) },
  { name: 'KV out', matches: on('copy', /^page_out$/) },
  { name: 'KV in', matches: on('copy', /^page_in$/) },
  // From the change of stage until all is where it belongs; what is brought near before that waits for most of its time.
  { name: 'weights', matches: onDevice(/^(?!prefetch ).* -> /) },
  { name: 'weights ahead', matches: onDevice(/^prefetch .* -> /) },
  { name: 'KV on disk', matches: ({ process, name }) => process === 'disk' && /^(spill|fetch)$/.test(name) },
  { name: 'host work', matches: onHost(/^(encode|schedule|sample)$/) },
];

/** Categories that only traces with slices of kernels can tell, and what stands for them in others. */
const FINE = ['kernels', 'collectives', 'sends and receives', 'samples'];
const COARSE = 'kernels and exchanges';

export interface Tally {
  /** Seconds, added up over devices. */
  readonly seconds: number;
  readonly slices: number;
}

/** Seconds and slices of every category. */
export function tallyCategories(slices: Iterable<TimedName>): ReadonlyMap<string, Tally> {
  const found = new Map<string, Map<string, [start: number, end: number][]>>();
  for (const slice of slices)
    for (const { name, matches } of CATEGORIES) {
      if (!matches(slice)) continue;
      const lanes = found.get(name) ?? new Map<string, [number, number][]>();
      found.set(name, lanes);
      const lane = lanes.get(slice.process);
      if (lane === undefined) lanes.set(slice.process, [[slice.start, slice.end]]);
      else lane.push([slice.start, slice.end]);
    }
  return new Map(
    CATEGORIES.map(({ name }) => {
      const lanes = [...(found.get(name)?.values() ?? [])];
      const seconds = lanes.reduce((sum, lane) => sum + covered(lane), 0);
      return [name, { seconds, slices: lanes.reduce((sum, lane) => sum + lane.length, 0) }];
    }),
  );
}

/** Seconds that at least one of the spans covers. */
function covered(spans: readonly (readonly [start: number, end: number])[]): number {
  let [seconds, until] = [0, -Infinity];
  for (const [start, end] of spans.toSorted((a, b) => a[0] - b[0])) {
    seconds += Math.max(0, end - Math.max(start, until));
    until = Math.max(until, end);
  }
  return seconds;
}

export interface Comparison {
  readonly category: string;
  readonly of?: string;
  readonly run: Tally;
  readonly simulated: Tally;
  /** Simulated seconds by those of the run, less one; absent where the run has none. */
  readonly error?: number;
}

/** From the first arrival of a request to the last one that ends; undefined where no request did. */
export function wholeSeconds(slices: readonly TimedName[]): number | undefined {
  const requests = slices.filter(onHost(/^requests$/));
  const start = Math.min(...requests.filter(({ name }) => name === 'arrive').map((slice) => slice.start));
  const end = Math.max(...requests.filter(({ name }) => name === 'finish').map((slice) => slice.end));
  return Number.isFinite(end - start) ? end - start : undefined;
}

/** Compares a simulation with a run, category by category; those that neither has are left out. */
export function compareCategories(
  run: readonly TimedName[],
  simulated: readonly TimedName[],
): readonly Comparison[] {
  const [measured, clock] = [tallyCategories(run), tallyCategories(simulated)];
  const left = measured.get('kernels')!.slices > 0 ? [COARSE] : FINE;
  const whole = (slices: readonly TimedName[]): Tally => ({ seconds: wholeSeconds(slices) ?? 0, slices: 1 });
  const rows = CATEGORIES.filter(({ name }) => !left.includes(name)).map(({ name, of }) =>
    comparison(name, of, measured.get(name)!, clock.get(name)!),
  );
  return [
    comparison('whole run', undefined, whole(run), whole(simulated)),
    ...rows.filter((each) => each.run.seconds > 0 || each.simulated.seconds > 0),
  ];
}

function comparison(category: string, of: string | undefined, run: Tally, simulated: Tally): Comparison {
  return {
    category,
    ...(of !== undefined && { of }),
    run,
    simulated,
    ...(run.seconds > 0 && { error: simulated.seconds / run.seconds - 1 }),
  };
}
