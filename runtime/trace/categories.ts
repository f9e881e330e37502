/**
 * What the time of a trace went into, by category: the same for a run on devices and for a simulation of it, so that the
 * two can be compared.
 *
 * A category's seconds are added up over devices; on one device, what overlaps counts once. Kernels are told from the
 * exchanges behind them only in traces that have slices of them (`run --trace-kernels`, simulations); elsewhere an
 * exchange begins when its kernels are recorded, and the two are one category.
 */
import type { ReadSlice } from './slices.js';

/** The part of a slice that decides on its category, and its times in seconds. */
export type TimedName = Pick<ReadSlice, 'process' | 'thread' | 'name' | 'start' | 'end'>;

/** A category of the time of a trace. */
export interface Category {
  readonly name: string;
  /** A category that this one is a part of. */
  readonly of?: string;
  /** The clock may have all of it happen without giving it any time. */
  readonly isInstant?: true;
  /** Whether a slice counts for the category. Goes by process, thread and name alone. */
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

/** All categories, in the order in which reports list them. A slice may count for several. */
export const CATEGORIES: readonly Category[] = [
  // Those that decode as well, too: earlier traces tell them from no others.
  { name: 'prefill steps', matches: on('queue', / prefill( \+ decode)?$/) },
  { name: 'decode steps', matches: on('queue', /(?<! prefill \+) decode$/) },
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
  // Done when the host has written it.
  { name: 'KV in', isInstant: true, matches: on('copy', /^page_in$/) },
  // From the change of stage until all is where it belongs; what is brought near before that waits for most of its time.
  { name: 'weights', matches: onDevice(/^(?!prefetch ).* -> /) },
  { name: 'weights ahead', matches: onDevice(/^prefetch .* -> /) },
  { name: 'KV on disk', matches: ({ process, name }) => process === 'disk' && /^(spill|fetch)$/.test(name) },
  { name: 'host work', matches: onHost(/^(encode|schedule|sample)$/) },
];

/** Categories that only traces with slices of kernels can tell. */
const FINE = ['kernels', 'collectives', 'sends and receives', 'samples'];
/** The category that stands for them in other traces. */
const COARSE = 'kernels and exchanges';

/** What a category comes to. */
export interface Tally {
  /** Seconds, added up over devices. */
  readonly seconds: number;
  readonly slices: number;
}

/** What a category has come to on one process so far. */
interface Sum {
  seconds: number;
  slices: number;
  /** Seconds at which the last to end of the slices so far ends: what overlaps counts once. */
  until: number;
}

/**
 * Seconds and slices of every category. Only sums are kept, for there may be millions of slices.
 *
 * @param slices in the order of their beginnings
 */
export function tallyCategories(slices: Iterable<TimedName>): ReadonlyMap<string, Tally> {
  const tallies = new Map(CATEGORIES.map(({ name }) => [name, new Map<string, Sum>()]));
  /** Sums that a slice counts for, by process, thread and name. */
  const known = new Map<string, Map<string, Map<string, readonly Sum[]>>>();
  const sumsOf = (slice: TimedName): readonly Sum[] => {
    const threads = entryOf(known, slice.process, () => new Map<string, Map<string, readonly Sum[]>>());
    const names = entryOf(threads, slice.thread, () => new Map<string, readonly Sum[]>());
    return entryOf(names, slice.name, () =>
      CATEGORIES.filter(({ matches }) => matches(slice)).map(({ name }) =>
        entryOf(tallies.get(name)!, slice.process, () => ({ seconds: 0, slices: 0, until: -Infinity })),
      ),
    );
  };
  for (const slice of slices)
    for (const sum of sumsOf(slice)) {
      sum.seconds += Math.max(0, slice.end - Math.max(slice.start, sum.until));
      sum.until = Math.max(sum.until, slice.end);
      sum.slices++;
    }
  return new Map(
    [...tallies].map(([name, sums]): [string, Tally] => {
      const of = (pick: (sum: Sum) => number): number =>
        [...sums.values()].reduce((total, sum) => total + pick(sum), 0);
      return [name, { seconds: of(({ seconds }) => seconds), slices: of((sum) => sum.slices) }];
    }),
  );
}

function entryOf<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const found = map.get(key) ?? make();
  map.set(key, found);
  return found;
}

/** A category in a run and in a simulation of it. */
export interface Comparison {
  readonly category: string;
  readonly of?: string;
  readonly run: Tally;
  readonly simulated: Tally;
  /** Simulated seconds divided by those of the run, less 1; absent where the run has none, or the clock gives it none. */
  readonly error?: number;
}

/** A trace compared with a simulation, category by category. */
export interface Compared {
  readonly categories: readonly Comparison[];
  /** Names of categories of the simulation that the trace cannot tell: it was written without what lies within steps. */
  readonly lacking: readonly string[];
}

const onRequests = onHost(/^requests$/);

/** Seconds from the first arrival of a request to the end of the last one; undefined where none ended. */
export function wholeSeconds(slices: Iterable<TimedName>): number | undefined {
  let [begin, until] = [Infinity, -Infinity];
  for (const slice of slices) {
    if (!onRequests(slice)) continue;
    if (slice.name === 'arrive') begin = Math.min(begin, slice.start);
    if (slice.name === 'finish') until = Math.max(until, slice.end);
  }
  return Number.isFinite(until - begin) ? until - begin : undefined;
}

/**
 * Compares a simulation with a run, category by category; those that neither has are left out.
 *
 * @param run slices in any order
 * @param simulated slices in the order of their beginnings; gone through once
 */
export function compareCategories(run: readonly TimedName[], simulated: Iterable<TimedName>): Compared {
  const measured = summed(run.toSorted((a, b) => a.start - b.start));
  const clock = summed(simulated);
  const slicesOf = (name: string): number => measured.tally.get(name)!.slices;
  const coarse = slicesOf('kernels') === 0;
  const hasSteps = slicesOf('prefill steps') + slicesOf('decode steps') > 0;
  const onlySteps = hasSteps && slicesOf(COARSE) === 0;
  const left = coarse ? FINE : [COARSE];
  const rows = CATEGORIES.filter(({ name }) => !left.includes(name))
    .map((category) =>
      comparison(category, measured.tally.get(category.name)!, clock.tally.get(category.name)!),
    )
    .filter((each) => each.run.seconds > 0 || each.simulated.seconds > 0);
  const isLacking = ({ of, run: { slices } }: Comparison): boolean =>
    onlySteps && of === STEPS && slices === 0;
  return {
    categories: [
      comparison({ name: 'whole run' }, measured.whole, clock.whole),
      ...rows.filter((row) => !isLacking(row)),
    ],
    lacking: rows.filter(isLacking).map(({ category }) => category),
  };
}

/** The tally of slices, and the seconds of the whole, in one pass over the slices. */
function summed(slices: Iterable<TimedName>): {
  readonly tally: ReadonlyMap<string, Tally>;
  readonly whole: Tally;
} {
  const requests: TimedName[] = [];
  function* noted(): Iterable<TimedName> {
    for (const slice of slices) {
      if (onRequests(slice)) requests.push(slice);
      yield slice;
    }
  }
  const tally = tallyCategories(noted());
  return { tally, whole: { seconds: wholeSeconds(requests) ?? 0, slices: 1 } };
}

function comparison(
  { name, of, isInstant }: Omit<Category, 'matches'>,
  run: Tally,
  simulated: Tally,
): Comparison {
  const isTimeless = isInstant === true && simulated.slices > 0 && simulated.seconds === 0;
  return {
    category: name,
    ...(of !== undefined && { of }),
    run,
    simulated,
    ...(run.seconds > 0 && !isTimeless && { error: simulated.seconds / run.seconds - 1 }),
  };
}
