/**
 * Evaluates what a plan expects of its compiled form. A measure that only a run can tell (`transitions`, or bytes of a
 * run) is left to the run; all others are figures of the graphs.
 */
import { formatBytes } from '../check/units.js';
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import type { Program, RuntimeGraph, RuntimeStage } from '../ir/runtime-graph.js';
import type { TransitionGraph } from '../ir/transitions.js';
import type { CheckedExpectation, Plan } from '../plan/plan.js';
import { expectationCauses } from './expectation-causes.js';

type Bound = Extract<CheckedExpectation, { kind: 'bound' }>;
type Never = Extract<CheckedExpectation, { kind: 'never' }>;

/** Errors for every expectation of the plan that the compiled graphs do not meet. */
export function checkExpectations(
  plan: Plan,
  runtime: RuntimeGraph,
  transitions: TransitionGraph,
): readonly Diagnostic[] {
  return (plan.expectations ?? []).flatMap((expectation) => {
    if (expectation.kind === 'never') return checkNever(expectation, runtime, transitions);
    const value = measure(expectation, runtime, transitions);
    if (value === undefined || holds(value, expectation)) return [];
    const show = (figure: number): string =>
      expectation.measure === 'collectives' ? String(figure) : formatBytes(figure);
    return [
      report(
        'expectation-not-met',
        {
          measure: describe(expectation),
          value: show(value),
          bound: `${expectation.op} ${show(expectation.limit)}`,
        },
        { primary: expectation.origin, ...expectationCauses(expectation, runtime, transitions) },
      ),
    ];
  });
}

/** `never OP of X in STAGE`: collectives and sends carry activations, in the stages of the runtime graph. */
function checkNever(
  expectation: Never,
  runtime: RuntimeGraph,
  transitions: TransitionGraph,
): readonly Diagnostic[] {
  const { op, of: carried, stage, origin } = expectation;
  if (carried !== undefined && carried !== 'activations') return [];
  const count = runtime.stages
    .filter(({ name }) => (stage ?? name) === name)
    .flatMap(({ programs }) => programs.flatMap(({ ops }) => ops))
    .filter((candidate) => (candidate.op === 'collective' ? candidate.kind : candidate.op) === op).length;
  if (count === 0) return [];
  const measure = stage === undefined ? op : `${op} in ${stage}`;
  return [
    report(
      'expectation-not-met',
      { measure, value: String(count), bound: '== 0' },
      { primary: origin, ...expectationCauses(expectation, runtime, transitions) },
    ),
  ];
}

function holds(value: number, { op, limit }: Bound): boolean {
  const outcomes = { '<': value < limit, '<=': value <= limit, '>': value > limit, '>=': value >= limit };
  return { ...outcomes, '==': value === limit, '!=': value !== limit }[op];
}

/** The figure, or undefined when it is not known before a run. */
function measure(
  expectation: Bound,
  runtime: RuntimeGraph,
  transitions: TransitionGraph,
): number | undefined {
  const stages = runtime.stages.filter(({ name }) => (expectation.stage ?? name) === name);
  if (expectation.measure === 'peak') return peak(expectation, runtime, stages);
  if (expectation.measure === 'collectives') {
    const counts = stages.flatMap((stage) =>
      stage.programs.map((program) => collectives(program, expectation.per)),
    );
    return counts.length === 0 ? undefined : Math.max(...counts);
  }
  const { edge } = expectation;
  if (expectation.measure !== 'bytes' || edge === undefined) return undefined;
  const between = (entry: { readonly from: string; readonly to: string }): boolean =>
    entry.from === edge.from && entry.to === edge.to;
  if (expectation.per === 'transition') {
    const bytes = transitions.weights.find(between)?.bytes;
    return bytes === undefined ? 0 : bytes.upload + bytes.peer;
  }
  return transitions.kv.find(between)?.bytesPerToken.out;
}

/** The largest peak among the devices of the stages, of the named device array when there is one. */
function peak({ place }: Bound, runtime: RuntimeGraph, stages: readonly RuntimeStage[]): number | undefined {
  const ids = new Set(stages.flatMap((stage) => stage.ranks.map((rank) => rank.device)));
  const peaks = runtime.devices
    .filter(({ id, path }) => ids.has(id) && (place === undefined || arrayOf(path) === place))
    .map((device) => device.peak.total);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}

/** `gpu` of `node[2].gpu[5]`. */
function arrayOf(path: string): string {
  return path
    .split('.')
    .at(-1)!
    .replace(/\[\d+\]$/, '');
}

/** Collectives of a program: in its busiest layer, or in all of a step. */
function collectives(program: Program, per: Bound['per']): number {
  const ops = program.ops.filter((op) => op.op === 'collective');
  if (per !== 'layer') return ops.length;
  const byLayer = new Map<number, number>();
  for (const { layer } of ops) if (layer !== undefined) byLayer.set(layer, (byLayer.get(layer) ?? 0) + 1);
  return Math.max(0, ...byLayer.values());
}

function describe({ measure: name, stage, place, edge, per }: Bound): string {
  const about = edge ? `${edge.from} -> ${edge.to}` : [stage, place].filter(Boolean).join(', ');
  return `${name}(${[about, per && `per: ${per}`].filter(Boolean).join(', ')})`;
}
