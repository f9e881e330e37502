/** Holds what a plan expects against what was observed of a run or a simulation of it. */
import { expectationCauses, moveCauses, opCauses } from '../../compiler/passes/expectation-causes.js';
import {
  concernsPrograms,
  judgeBound,
  judgeNever,
  measuredDevices,
  showFigure,
  type Bound,
  type Causes,
  type Never,
} from '../../compiler/passes/judge-expectation.js';
import { formatBinaryBytes, formatQuantity } from '../../compiler/check/units.js';
import type { Diagnostic } from '../../compiler/diagnostics/diagnostic.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { TransitionGraph } from '../../compiler/ir/transitions.js';
import type { CheckedExpectation, Plan } from '../../compiler/plan/plan.js';
import type { Workload } from '../../compiler/plan/workload.js';
import type { Observed, ObservedExchange } from './observed.js';

/** What became of one expectation. */
export type Verdict = { readonly expectation: CheckedExpectation } & (
  | { readonly kind: 'kept'; readonly figure: string }
  | { readonly kind: 'broken'; readonly figure: string; readonly diagnostic: Diagnostic }
  /** Nothing that was observed tells. */
  | { readonly kind: 'unknown'; readonly why: string }
);

export interface Compiled {
  readonly plan: Plan;
  readonly runtime: RuntimeGraph;
  readonly transitions: TransitionGraph;
}

export interface Judging {
  /** Where figures were seen, as it stands behind them: ` in the run`. */
  readonly seen: string;
  /** Whether what was observed is a run of this workload. */
  readonly isOf: (workload: Workload) => boolean;
}

/** A verdict on every expectation of the plan, in their order. */
export function judgeObserved(
  compiled: Compiled,
  observed: Observed,
  { seen, isOf }: Judging,
): readonly Verdict[] {
  return (compiled.plan.expectations ?? []).map((expectation): Verdict => {
    if (expectation.kind === 'never') return judgeOps(expectation, compiled, observed, seen);
    const { workload } = expectation;
    if (workload !== undefined && !isOf(workload))
      return { kind: 'unknown', expectation, why: `it was no run of workload ${workload.name}` };
    if (workload !== undefined && observed.limited !== undefined) {
      const why = `it was a run of ${observed.limited} of the requests of workload ${workload.name}`;
      return { kind: 'unknown', expectation, why };
    }
    if (observed.isRest && (workload !== undefined || isOfWholeRun(expectation)))
      return { kind: 'unknown', expectation, why: 'an earlier run had done a part of it' };
    const value = observedFigure(expectation, compiled, observed);
    if (typeof value === 'string') return { kind: 'unknown', expectation, why: value };
    const figure = showFigure(expectation, value);
    const diagnostic = judgeBound(expectation, value, seen, () => causes(expectation, compiled, observed));
    return diagnostic === undefined
      ? { kind: 'kept', expectation, figure }
      : { kind: 'broken', expectation, figure, diagnostic };
  });
}

/** Whether a measure adds up what a run does from its beginning to its end. */
export function isOfWholeRun({ measure, per }: Pick<Bound, 'measure' | 'per'>): boolean {
  return measure === 'transitions' || measure === 'time' || (measure === 'bytes' && per === undefined);
}

/** The figure of a measure, or why it is not known. */
function observedFigure(bound: Bound, { runtime }: Compiled, observed: Observed): number | string {
  switch (bound.measure) {
    case 'transitions':
      return observed.transitions.count;
    case 'time':
      return observed.seconds ?? 'it was not seen from beginning to end';
    case 'peak': {
      const peaks = measuredDevices(bound, runtime).flatMap(({ path }) => observed.peaks?.[path] ?? []);
      return peaks.length === 0 ? 'the memory of its devices was not told' : Math.max(...peaks);
    }
    case 'collectives': {
      const counts = observed.steps?.map((step) => collectives(bound, step));
      return counts === undefined || counts.length === 0 ? NO_STEPS : Math.max(...counts);
    }
    case 'bytes':
      return edgeBytes(bound, runtime, observed);
  }
}

const NO_STEPS = 'exchanges were not traced';

/** Collectives of one step: all of them, or those of its busiest layer. */
function collectives({ stage, per }: Bound, step: readonly ObservedExchange[]): number {
  const own = step.filter((each) => (stage ?? each.stage) === each.stage && each.kind !== 'send');
  if (per !== 'layer') return own.length;
  const byLayer = new Map<number, number>();
  for (const { layer } of own) if (layer !== undefined) byLayer.set(layer, (byLayer.get(layer) ?? 0) + 1);
  return Math.max(0, ...byLayer.values());
}

function edgeBytes(
  { edge, per }: Bound,
  runtime: RuntimeGraph,
  { pageOuts, transitions }: Observed,
): number | string {
  if (edge === undefined) return 'it names no edge';
  if (pageOuts === undefined || transitions.all === undefined) return 'moves were not traced';
  const poolOf = (name: string) => runtime.stages.find((stage) => stage.name === name)?.pool;
  const pool = poolOf(edge.from);
  const shared = pool === poolOf(edge.to);
  const kv = shared || pool === undefined ? { bytes: 0, tokens: 0 } : pageOuts.get(pool)!;
  const moves = transitions.all.filter(({ from, to }) => from === edge.from && to === edge.to);
  switch (per) {
    case 'token':
      if (shared) return 0;
      return kv.tokens === 0 ? 'no KV went that way' : kv.bytes / kv.tokens;
    case 'transition':
      return moves.length === 0
        ? 'no transition went that way'
        : Math.max(...moves.map(({ bytes }) => bytes));
    default:
      return moves.reduce((sum, { bytes }) => sum + bytes, kv.bytes);
  }
}

function judgeOps(expectation: Never, compiled: Compiled, { steps }: Observed, seen: string): Verdict {
  if (!concernsPrograms(expectation)) return { kind: 'kept', expectation, figure: '0' };
  if (steps === undefined) return { kind: 'unknown', expectation, why: NO_STEPS };
  const { op, stage } = expectation;
  const found = steps.flat().filter((each) => each.kind === op && (stage ?? each.stage) === each.stage);
  const count = new Set(found.map((each) => `${each.stage}/${each.pp}/${each.op}`)).size;
  const diagnostic = judgeNever(expectation, count, seen, () => exchangeCauses(compiled, found));
  return diagnostic === undefined
    ? { kind: 'kept', expectation, figure: '0' }
    : { kind: 'broken', expectation, figure: String(count), diagnostic };
}

/** The ops of programs that exchanges were made by. */
function exchangeCauses({ runtime }: Compiled, found: readonly ObservedExchange[]): Causes {
  const ops = new Set(found.map(({ stage, pp, op }) => `${stage}/${pp}/${op}`));
  const numbers = new Map(
    runtime.stages.flatMap(({ programs }) =>
      programs.flatMap(({ ops: all }) => all.map((op, i) => [op, i] as const)),
    ),
  );
  return opCauses(runtime.stages, (op, stage, pp) => ops.has(`${stage}/${pp}/${numbers.get(op)!}`));
}

/** Transitions that are listed. */
const MOST_LISTED = 4;

function causes(bound: Bound, { plan, runtime, transitions }: Compiled, observed: Observed): Causes {
  switch (bound.measure) {
    case 'peak':
      return expectationCauses(bound, runtime, transitions);
    case 'collectives': {
      const worst = Math.max(...observed.steps!.map((step) => collectives(bound, step)));
      const step = observed.steps!.find((each) => collectives(bound, each) === worst)!;
      const counted = step.filter(
        ({ kind, layer }) => kind !== 'send' && (bound.per !== 'layer' || layer !== undefined),
      );
      return exchangeCauses({ plan, runtime, transitions }, counted);
    }
    case 'bytes':
      return moveCauses(bound, transitions);
    case 'transitions':
    case 'time': {
      const { all = [] } = observed.transitions;
      const listed = all
        .slice(0, MOST_LISTED)
        .map(
          ({ from, to, start, end, bytes }) =>
            `${from} -> ${to} after ${seconds(start)}, ${formatBinaryBytes(bytes)} of weights in ${seconds(end - start)}`,
        );
      const more = all.length - listed.length;
      const rules = plan.flow.origin;
      return {
        notes: more > 0 ? [...listed, `and ${more} more transitions`] : listed,
        related: all.length > 0 ? [{ ...rules, label: 'this flow decides when stages change' }] : [],
      };
    }
  }
}

const seconds = (value: number): string => formatQuantity(Number(value.toPrecision(3)), 'seconds');
