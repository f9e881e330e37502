/**
 * What a run did, in the terms that expectations of plans are written in: read from the slices of its trace, or from
 * those of a simulation, which are the same.
 */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { RuntimeOp } from '../../compiler/ir/runtime-program.js';
import { pageOwners } from '../../compiler/ir/page-slices.js';
import { meshText } from '../engine/trace-work.js';
import { wholeSeconds } from '../trace/categories.js';
import { isRecord, type ReadSlice, type ReadTrace } from '../trace/slices.js';

export interface ObservedTransition {
  readonly from: string;
  readonly to: string;
  /** Seconds. */
  readonly start: number;
  readonly end: number;
  /** Weights brought onto the devices. */
  readonly bytes: number;
}

/** KV that left the device pages of a pool. */
export interface ObservedPages {
  readonly bytes: number;
  /** Tokens that the pages had room for. */
  readonly tokens: number;
}

/** Exchanges of one op of a program in the step that had most of them. */
export interface ObservedExchange {
  readonly stage: string;
  readonly pp: number;
  /** Index of the op in its program. */
  readonly op: number;
  readonly kind: string;
  readonly layer?: number;
}

/** Figures of a run; those that are absent are not known of it. */
export interface Observed {
  /** It went on where an earlier run had stopped: figures are those of the rest alone. */
  readonly isRest?: boolean;
  /** It took this many requests of its file at most, and there are more. */
  readonly limited?: number;
  readonly transitions: { readonly count: number; readonly all?: readonly ObservedTransition[] };
  /** From the first request to the last result. */
  readonly seconds?: number;
  /** Peak bytes of device memory by path, without what was taken of spare memory. */
  readonly peaks?: Readonly<Record<string, number>>;
  /** By pool. */
  readonly pageOuts?: ReadonlyMap<string, ObservedPages>;
  /** Collectives and sends of every step that was different, a list for each. */
  readonly steps?: readonly (readonly ObservedExchange[])[];
}

/** What the trace of a run says; a text says why it is no run of this plan. */
export function observeTrace(graph: RuntimeGraph, { slices, figures }: ReadTrace): Observed | string {
  const steps = observeSteps(graph, slices);
  if (typeof steps === 'string') return steps;
  const { transitions, seconds, pageOuts } = observeMoves(graph, slices);
  const limited = figures?.['limited'];
  const peaks = figures?.['plannedPeak'] ?? figures?.['peakMemory'];
  return {
    ...(typeof limited === 'number' && { limited }),
    isRest: Number(figures?.['resumed'] ?? 0) > 0,
    transitions,
    ...(seconds !== undefined && { seconds }),
    ...(isPeaks(peaks) && { peaks }),
    pageOuts,
    steps,
  };
}

function isPeaks(value: unknown): value is Readonly<Record<string, number>> {
  return isRecord(value) && Object.values(value).every((each) => typeof each === 'number');
}

type Slice = Pick<ReadSlice, 'process' | 'thread' | 'name' | 'start' | 'end' | 'args'>;

/** Transitions, pages and time: what slices tell that do not lie within others. */
export function observeMoves(
  graph: RuntimeGraph,
  slices: readonly Slice[],
): Observed & Required<Pick<Observed, 'pageOuts'>> {
  const all = slices
    .filter(({ process, thread }) => process === 'host' && thread === 'transitions')
    .map(({ name, start, end, args }) => {
      const [from = '', to = ''] = name.split(' -> ');
      return { from, to, start, end, bytes: Number(args['bytes'] ?? 0) };
    });
  const seconds = wholeSeconds(slices);
  return {
    transitions: { count: all.length, all },
    ...(seconds !== undefined && { seconds }),
    pageOuts: observePages(graph, slices),
  };
}

function observePages(
  { pools, kv }: RuntimeGraph,
  slices: readonly Slice[],
): ReadonlyMap<string, ObservedPages> {
  const out = slices.filter(({ thread, name }) => thread === 'copy' && name === 'page_out');
  return new Map(
    pools.map((pool) => {
      // A page leaves in as many parts as a replica has owners; each part is a slice on its device.
      const replicas = new Set(pool.ranks.map(({ dp }) => dp)).size;
      const parts = pageOwners(pool).size / replicas;
      const own = out.filter(({ args }) => args['pool'] === pool.id);
      const sum = (key: string): number => own.reduce((total, { args }) => total + Number(args[key] ?? 0), 0);
      return [pool.id, { bytes: sum('bytes'), tokens: (sum('pages') * kv.pageTokens) / parts }];
    }),
  );
}

const EXCHANGE = /^(?:(all_reduce|all_gather|reduce_scatter) \w+|(send))$/;

/** Exchanges step by step; of steps that are alike, one. A text says what does not go with the graph. */
function observeSteps(
  graph: RuntimeGraph,
  slices: readonly ReadSlice[],
): readonly (readonly ObservedExchange[])[] | string {
  const rows = new Map<string, ReadSlice[]>();
  for (const slice of slices) {
    if (slice.thread !== 'queue') continue;
    const key = `${slice.process} ${slice.row}`;
    const row = rows.get(key);
    if (row === undefined) rows.set(key, [slice]);
    else row.push(slice);
  }
  const found = new Map<string, readonly ObservedExchange[]>();
  for (const row of rows.values()) {
    // What lies within a step begins with it or later and ends first: steps go before what they hold.
    row.sort((a, b) => a.start - b.start || b.end - a.end);
    for (const { step, exchanges } of stepsOf(row)) {
      const seen = exchangesOf(graph, step, exchanges);
      if (typeof seen === 'string') return seen;
      found.set(seen.map(({ stage, pp, op }) => `${stage}/${pp}/${op}`).join(' '), seen);
    }
  }
  return [...found.values()];
}

/** The steps of a row, each with the exchanges within it. */
function stepsOf(row: readonly ReadSlice[]): readonly { step: ReadSlice; exchanges: readonly ReadSlice[] }[] {
  const steps: { step: ReadSlice; exchanges: ReadSlice[] }[] = [];
  for (const slice of row) {
    if (typeof slice.args['stage'] === 'string') steps.push({ step: slice, exchanges: [] });
    else if (EXCHANGE.test(slice.name)) steps.at(-1)?.exchanges.push(slice);
  }
  return steps;
}

function programOf({ stages }: RuntimeGraph, stage: string, pp: number) {
  return stages.find(({ name }) => name === stage)?.programs.find((each) => each.pp === pp);
}

/** Why the arguments of a step are those of no step of the plan; undefined where they may be. */
function foreignStep(graph: RuntimeGraph, args: ReadSlice['args']): string | undefined {
  const [stage, pp] = [String(args['stage']), Number(args['pp'])];
  if (programOf(graph, stage, pp) === undefined)
    return `it has steps of a stage ${stage} with a part ${pp}, and the plan has none`;
  const mesh = meshText(graph.stages.find(({ name }) => name === stage)!.mesh);
  const run = args['mesh'];
  return run === undefined || run === mesh
    ? undefined
    : `its steps of ${stage} have the mesh ${String(run)}, and the plan has ${mesh}`;
}

/** Why the steps of a trace are none of the plan; undefined where they may be. */
export function foreignSteps(graph: RuntimeGraph, slices: readonly ReadSlice[]): string | undefined {
  const known = new Set<string>();
  for (const { thread, args } of slices) {
    if (thread !== 'queue' || typeof args['stage'] !== 'string') continue;
    const key = [args['stage'], args['pp'], args['mesh']].map(String).join('/');
    const foreign = known.has(key) ? undefined : foreignStep(graph, args);
    if (foreign !== undefined) return foreign;
    known.add(key);
  }
  return undefined;
}

function exchangesOf(
  graph: RuntimeGraph,
  { args }: ReadSlice,
  exchanges: readonly ReadSlice[],
): readonly ObservedExchange[] | string {
  const [stage, pp] = [String(args['stage']), Number(args['pp'])];
  const foreign = foreignStep(graph, args);
  if (foreign !== undefined) return foreign;
  const program = programOf(graph, stage, pp)!;
  const seen: ObservedExchange[] = [];
  for (const { name, args: facts } of exchanges) {
    const [, collective, send] = EXCHANGE.exec(name)!;
    const kind = collective ?? send!;
    const index = Number(facts['op']);
    const op: RuntimeOp | undefined = program.ops[index];
    if (op === undefined || (op.op === 'collective' ? op.kind : op.op) !== kind)
      return `its steps of ${stage} do not run the program that the plan compiles to`;
    const { layer } = op;
    seen.push({ stage, pp, op: index, kind, ...(layer !== undefined && { layer }) });
  }
  return seen;
}
