/**
 * The timeline of a simulation made small enough for a page: slices of a lane that are too short to be told apart are
 * drawn as one, and times are whole numbers of which the makespan has `TICKS`.
 */
import { groupBy } from '../../compiler/group-by.js';
import type { RuntimeGraph, RuntimeRank } from '../../compiler/ir/runtime-graph.js';
import type { KvSample } from '../../runtime/clock/simulation.js';
import type { TimedSlice, Timeline } from '../../runtime/clock/timeline.js';
import type { TraceLane } from '../../runtime/trace/tracer.js';
import { formatBytes } from '../format.js';

/** What a slice is, as far as its colour goes. */
export const SLICE_KINDS = [
  'prefill',
  'mixed',
  'decode',
  'kernels',
  'all_reduce',
  'send',
  'samples',
  'wait',
  'asked',
  'page_out',
  'page_in',
  'weights',
  'disk',
  'host',
] as const;

export type SliceKind = (typeof SLICE_KINDS)[number];

/** A lane as it is drawn. */
export interface LaneData {
  /** `gpu[0]`, `host`, `disk`. */
  readonly process: string;
  /** `queue`, `copy`, `weights`, ... */
  readonly thread: string;
  /**
   * Six numbers a slice: start and duration in ticks, index into `SLICE_KINDS`, index into `labels`, slices that it stands
   * for, ticks in which any of those lasts.
   */
  readonly slices: readonly number[];
  /** What is within those slices, in the same form. */
  readonly within: readonly number[];
}

/** A timeline as it stands in a page. */
export interface TimelineData {
  /** Seconds of the whole simulation. */
  readonly makespan: number;
  /** How many ticks the makespan has: the unit of times of slices. */
  readonly ticks: number;
  readonly kinds: readonly SliceKind[];
  readonly labels: readonly string[];
  readonly lanes: readonly LaneData[];
  /** Samples of KV and requests, for the charts. */
  readonly samples: readonly KvSample[];
  /** What a reader must know of the drawing. */
  readonly notes: readonly string[];
}

const TICKS = 10_000_000;
const MOST_DEVICES = 32;
const MOST_SLICES = 40_000;
const MOST_WITHIN = 60_000;
/** Slices within steps that are still looked at, to be drawn as one of each kind. */
const MOST_SUMMED = 1_000_000;

/** Lanes of a process in the order in which they are drawn; others are left out. */
const THREADS = ['queue', 'link', 'copy', 'weights', 'encode', 'sample', 'transitions', 'read', 'write'];

/** Processes that are drawn below the devices. */
const BESIDE_DEVICES = ['host', 'disk'];

/** The devices whose lanes are drawn, by their paths. */
export interface DrawnDevices {
  readonly paths: readonly string[];
  /** How many there are, drawn or not. */
  readonly all: number;
}

/** All devices of a graph; of many equally many of each kind that have a part in the same stages, the first of them. */
export function drawnDevices({
  devices,
  stages,
}: {
  readonly devices: readonly Pick<RuntimeGraph['devices'][number], 'id' | 'path'>[];
  readonly stages: readonly { readonly ranks: readonly Pick<RuntimeRank, 'device'>[] }[];
}): DrawnDevices {
  const paths = devices.map(({ path }) => path);
  if (paths.length <= MOST_DEVICES) return { paths, all: paths.length };
  const stagesOf = new Map(devices.map(({ id }): [number, number[]] => [id, []]));
  for (const [index, { ranks }] of stages.entries())
    for (const device of new Set(ranks.map((rank) => rank.device))) stagesOf.get(device)!.push(index);
  const kinds = [...groupBy(devices, ({ id }) => stagesOf.get(id)!.join()).values()];
  const chosen = new Set<string>();
  for (let at = 0; chosen.size < MOST_DEVICES; at++)
    for (const { path } of kinds.flatMap((kind) => kind[at] ?? []))
      if (chosen.size < MOST_DEVICES) chosen.add(path);
  return { paths: paths.filter((path) => chosen.has(path)), all: paths.length };
}

/** Tells the lanes that are drawn from others. */
export function isDrawn({ paths }: DrawnDevices): (lane: TraceLane) => boolean {
  const processes = new Set([...paths, ...BESIDE_DEVICES]);
  return ({ process, thread }) => processes.has(process) && THREADS.includes(thread);
}

/**
 * The timeline of a simulation, made small enough for a page.
 *
 * @param makespan seconds of the whole simulation
 */
export function timelineData(
  timeline: Timeline,
  samples: readonly KvSample[],
  makespan: number,
  drawn: DrawnDevices,
): TimelineData {
  const lanesDrawn = isDrawn(drawn);
  const slices = timeline.slices().filter(({ lane }) => lanesDrawn(lane));
  const labels = createLabels();
  const lanes = lanesOf(slices, [...drawn.paths, ...BESIDE_DEVICES]);
  const { within, note } = withinLanes(lanes.map((lane) => lane.slices));
  const toTicks = (seconds: number): number => Math.round((seconds / makespan) * TICKS);
  const pack = (spans: readonly Span[], gap: number): number[] =>
    merged(spans, gap).flatMap(({ start, end, kind, label, count: stands, lasts }) => {
      const from = toTicks(start);
      const whole = toTicks(end) - from;
      const covered = stands === 1 ? whole : Math.min(whole, toTicks(lasts));
      return [from, whole, SLICE_KINDS.indexOf(kind), labels.index(label), stands, covered];
    });
  const spans = lanes.map((lane) => lane.slices.map(spanOf).sort((a, b) => a.start - b.start));
  const gap = gapFor(spans, makespan);
  return {
    makespan,
    ticks: TICKS,
    kinds: SLICE_KINDS,
    lanes: lanes.map(({ process, thread }, i) => ({
      process,
      thread,
      slices: pack(spans[i]!, gap),
      within: pack(within[i] ?? [], 0),
    })),
    samples,
    notes: [
      ...(drawn.all > drawn.paths.length
        ? [`${drawn.paths.length} of ${drawn.all} devices are drawn, of each stage some.`]
        : []),
      ...(gap > 0 ? ['Slices too short to be told apart are drawn as one.'] : []),
      ...(note === undefined ? [] : [note]),
    ],
    labels: labels.all,
  };
}

interface Span {
  readonly start: number;
  readonly end: number;
  readonly kind: SliceKind;
  readonly label: string;
  /** Slices that it stands for, and seconds in which any of them lasts. */
  readonly count: number;
  readonly lasts: number;
}

function createLabels(): { readonly all: string[]; readonly index: (label: string) => number } {
  const all: string[] = [];
  const known = new Map<string, number>();
  const index = (label: string): number => {
    const at = known.get(label) ?? all.push(label) - 1;
    known.set(label, at);
    return at;
  };
  return { all, index };
}

function lanesOf(
  slices: readonly TimedSlice[],
  processes: readonly string[],
): readonly { process: string; thread: string; slices: readonly TimedSlice[] }[] {
  const lanes = new Map<string, TimedSlice[]>();
  for (const slice of slices) {
    const key = `${slice.lane.process} ${slice.lane.thread}`;
    const lane = lanes.get(key);
    if (lane === undefined) lanes.set(key, [slice]);
    else lane.push(slice);
  }
  return processes.flatMap((process) =>
    THREADS.flatMap((thread) => {
      const found = lanes.get(`${process} ${thread}`);
      return found === undefined ? [] : [{ process, thread, slices: found }];
    }),
  );
}

function spanOf({ name, start, end, args, lane }: TimedSlice): Span {
  const facts = ['step', 'sequences', 'rows', 'prefill', 'decode', 'pages', 'sequence']
    .filter((key) => args?.[key] !== undefined)
    .map((key) => `${key} ${String(args![key])}`);
  if (typeof args?.['bytes'] === 'number') facts.push(formatBytes(args['bytes']));
  const label = [name, ...facts].join(' · ');
  return { start, end, kind: kindOf(name, lane.thread), label, count: 1, lasts: end - start };
}

function kindOf(name: string, thread: string): SliceKind {
  if (thread === 'link') return LINK_KINDS.find(([pattern]) => pattern.test(name))?.[1] ?? 'weights';
  // They last from when they are asked for, and wait for their turn for the most part.
  if (['copy', 'read', 'write'].includes(thread) || name.startsWith('prefetch ')) return 'asked';
  if (thread === 'weights' || thread === 'transitions') return 'weights';
  if (thread === 'encode' || thread === 'sample') return 'host';
  if (name.endsWith(' prefill + decode')) return 'mixed';
  return name.endsWith(' prefill') ? 'prefill' : 'decode';
}

const LINK_KINDS: readonly (readonly [RegExp, SliceKind])[] = [
  [/^KV out$/, 'page_out'],
  [/^KV in$/, 'page_in'],
  [/^KV (to|from) disk$/, 'disk'],
];

const INNER_KINDS: readonly (readonly [RegExp, SliceKind])[] = [
  [/^kernels$/, 'kernels'],
  [/^(all_reduce|all_gather|reduce_scatter) /, 'all_reduce'],
  [/^(send|recv)$/, 'send'],
  [/^read samples$/, 'samples'],
  [/^wait for weights$/, 'wait'],
];

function innerSpan({ name, start, end }: { name: string; start: number; end: number }): Span {
  const kind = INNER_KINDS.find(([pattern]) => pattern.test(name))?.[1] ?? 'kernels';
  return { start, end, kind, label: name, count: 1, lasts: end - start };
}

/** What is drawn within the slices of each lane; where that is not each kernel and exchange, a note says what is. */
function withinLanes(lanes: readonly (readonly TimedSlice[])[]): {
  readonly within: readonly (readonly Span[])[];
  readonly note?: string;
} {
  const all = lanes.flat().reduce((sum, { withinCount = 0 }) => sum + withinCount, 0);
  if (all <= MOST_WITHIN) return { within: lanes.map((lane) => lane.flatMap(innerSpans)) };
  if (all <= MOST_SUMMED) {
    const within = lanes.map((lane) => lane.flatMap((step) => summed(innerSpans(step))));
    if (within.reduce((sum, spans) => sum + spans.length, 0) <= MOST_WITHIN)
      return { within, note: 'Of kernels and exchanges, all of a kind within a step are drawn as one.' };
  }
  return { within: [], note: 'Kernels and exchanges within steps are too many to be drawn.' };
}

function innerSpans({ within }: TimedSlice): readonly Span[] {
  return (within?.() ?? []).filter(({ start, end }) => end > start).map(innerSpan);
}

/** Spans of one label as one, as long as all of them; the labels one after the other in place of by turns. */
function summed(spans: readonly Span[]): readonly Span[] {
  let end = spans[0]?.start ?? 0;
  return [...groupBy(spans, ({ label }) => label).values()].map((each) => {
    const start = end;
    end += each.reduce((sum, span) => sum + span.end - span.start, 0);
    return { ...each[0]!, start, end, count: each.length, lasts: end - start };
  });
}

/** Seconds below which gaps and slices are not told apart: none where all slices fit the page. */
function gapFor(lanes: readonly (readonly Span[])[], makespan: number): number {
  const total = (gap: number): number => lanes.reduce((sum, lane) => sum + merged(lane, gap).length, 0);
  let gap = 0;
  for (let parts = 1 << 16; total(gap) > MOST_SLICES && parts > 64; parts /= 2) gap = makespan / parts;
  return gap;
}

/** Joins neighbours of one kind that are shorter than `gap` and no further apart. */
function merged(spans: readonly Span[], gap: number): readonly Span[] {
  if (gap === 0) return spans;
  const result: Span[] = [];
  for (const span of spans) {
    const last = result.at(-1);
    const joins = last?.kind === span.kind && span.start - last.end < gap && span.end - span.start < gap;
    if (!joins) result.push(span);
    else {
      const count = last.count + 1;
      const lasts = last.lasts + Math.max(0, span.end - Math.max(span.start, last.end));
      result[result.length - 1] = { ...last, end: Math.max(last.end, span.end), count, lasts };
    }
  }
  return result;
}
