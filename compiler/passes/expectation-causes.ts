/** Why an expectation is not met: the ops and moves that its figure counts, and the places of the plan they come from. */
import { formatBytes } from '../check/units.js';
import type { Surroundings } from '../diagnostics/catalogue.js';
import type { Origin } from '../diagnostics/diagnostic.js';
import type { RuntimeGraph, RuntimeOp, RuntimeStage } from '../ir/runtime-graph.js';
import type { TransitionGraph } from '../ir/transitions.js';
import type { CheckedExpectation } from '../plan/plan.js';

/** Ops that are listed; a layer has as many, and the rest are of their kind. */
const MOST_OPS = 4;

type Causes = Required<Pick<Surroundings, 'related' | 'notes'>>;

/** What to show beside the failure: a note for each op, move or part of memory, and each place of the plan once. */
export function expectationCauses(
  expectation: CheckedExpectation,
  runtime: RuntimeGraph,
  transitions: TransitionGraph,
): Causes {
  const stages = runtime.stages.filter(({ name }) => (expectation.stage ?? name) === name);
  if (expectation.kind === 'never') return opCauses(stages, (op) => nameOf(op) === expectation.op);
  if (expectation.measure === 'collectives') return opCauses(stages, ({ op }) => op === 'collective');
  if (expectation.measure === 'peak') return peakCauses(stages, runtime);
  const { from, to } = expectation.edge ?? {};
  const moves = expectation.per === 'transition' ? transitions.weights : transitions.kv;
  const move = moves.find((each) => each.from === from && each.to === to);
  return { notes: [], related: move ? [{ ...move.origin, label: 'this is why something moves' }] : [] };
}

function nameOf(op: RuntimeOp): string {
  return op.op === 'collective' ? op.kind : op.op;
}

function opCauses(stages: readonly RuntimeStage[], counts: (op: RuntimeOp) => boolean): Causes {
  const found = stages.flatMap(({ name, programs }) =>
    programs.flatMap(({ pp, ops }) =>
      ops.filter(counts).map((op) => ({ id: `${name}/p${pp}/${op.id}`, op })),
    ),
  );
  const notes = found
    .slice(0, MOST_OPS)
    .map(({ id, op }) => `${id}: ${nameOf(op)}${op.layer === undefined ? '' : ` in layer ${op.layer}`}`);
  const more = found.length - notes.length;
  return {
    notes: more > 0 ? [...notes, `and ${more} more`] : notes,
    related: placesOf(found.map(({ op }) => op.origin)).map((origin) => ({
      ...origin,
      label: 'this causes them',
    })),
  };
}

function peakCauses(stages: readonly RuntimeStage[], { devices }: RuntimeGraph): Causes {
  const used = devices.filter(({ id }) =>
    stages.some(({ ranks }) => ranks.some(({ device }) => device === id)),
  );
  const fullest = used.toSorted((a, b) => b.peak.total - a.peak.total)[0];
  if (fullest === undefined) return { notes: [], related: [] };
  const { weights, workspace, kv } = fullest.peak;
  const parts = `weights ${formatBytes(weights)}, workspace ${formatBytes(workspace)}, KV ${formatBytes(kv)}`;
  return {
    notes: [`${fullest.path}: ${parts}`],
    related: placesOf(stages.map(({ origin }) => origin)).map((origin) => ({
      ...origin,
      label: 'of this stage',
    })),
  };
}

function placesOf(origins: readonly Origin[]): readonly Origin[] {
  const same = (a: Origin, b: Origin): boolean => a.file === b.file && a.span.start === b.span.start;
  return origins.filter((origin, index) => index === origins.findIndex((other) => same(origin, other)));
}
