/**
 * Evaluates what a plan expects of its compiled form. What only a run can tell (`transitions`, `time`, all bytes of an
 * edge) is left to simulations and runs (`runtime/expectations`); all else are figures of the graphs.
 */
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import type { RuntimeGraph } from '../ir/runtime-graph.js';
import type { Program } from '../ir/runtime-program.js';
import type { TransitionGraph } from '../ir/transitions.js';
import type { Plan } from '../plan/plan.js';
import { expectationCauses, nameOfOp } from './expectation-causes.js';
import {
  concernsPrograms,
  judgeBound,
  judgeNever,
  measuredDevices,
  type Bound,
  type Never,
} from './judge-expectation.js';

/** Errors for every expectation of the plan that the compiled graphs do not meet. */
export function checkExpectations(
  plan: Plan,
  runtime: RuntimeGraph,
  transitions: TransitionGraph,
): readonly Diagnostic[] {
  return (plan.expectations ?? []).flatMap((expectation) => {
    const causes = () => expectationCauses(expectation, runtime, transitions);
    if (expectation.kind === 'never')
      return judgeNever(expectation, occurrences(expectation, runtime), '', causes) ?? [];
    const value = compiledFigure(expectation, runtime, transitions);
    return (value === undefined ? undefined : judgeBound(expectation, value, '', causes)) ?? [];
  });
}

/** How often the op of a `never` occurs in the programs of its stage. */
function occurrences(expectation: Never, { stages }: RuntimeGraph): number {
  if (!concernsPrograms(expectation)) return 0;
  return stages
    .filter(({ name }) => (expectation.stage ?? name) === name)
    .flatMap(({ programs }) => programs.flatMap(({ ops }) => ops))
    .filter((op) => nameOfOp(op) === expectation.op).length;
}

/** The figure of a measure in the compiled plan, or undefined when it is not known before a run. */
export function compiledFigure(
  expectation: Bound,
  runtime: RuntimeGraph,
  transitions: TransitionGraph,
): number | undefined {
  switch (expectation.measure) {
    case 'peak':
      return most(measuredDevices(expectation, runtime).map(({ peak }) => peak.total));
    case 'collectives':
      return most(
        runtime.stages
          .filter(({ name }) => (expectation.stage ?? name) === name)
          .flatMap(({ programs }) => programs.map((program) => collectives(program, expectation.per))),
      );
    case 'bytes':
      return bytes(expectation, transitions);
    case 'transitions':
    case 'time':
      return undefined;
  }
}

function most(figures: readonly number[]): number | undefined {
  return figures.length === 0 ? undefined : Math.max(...figures);
}

function bytes({ edge, per }: Bound, transitions: TransitionGraph): number | undefined {
  const between = (entry: { readonly from: string; readonly to: string }): boolean =>
    entry.from === edge?.from && entry.to === edge.to;
  if (per === undefined) return undefined;
  if (per === 'token') return transitions.kv.find(between)?.bytesPerToken.out;
  const moved = transitions.weights.find(between)?.bytes;
  return moved === undefined ? 0 : moved.upload + moved.peer;
}

/** Collectives of a program: in its busiest layer, or in all of a step. */
function collectives(program: Program, per: Bound['per']): number {
  const ops = program.ops.filter((op) => op.op === 'collective');
  if (per !== 'layer') return ops.length;
  const byLayer = new Map<number, number>();
  for (const { layer } of ops) if (layer !== undefined) byLayer.set(layer, (byLayer.get(layer) ?? 0) + 1);
  return Math.max(0, ...byLayer.values());
}
