/** Why an expectation is not met: the ops and moves that its figure counts, and the places of the plan they come from. */
import type { Origin } from '../diagnostics/diagnostic.js';
import type { RuntimeGraph, RuntimeStage } from '../ir/runtime-graph.js';
import type { RuntimeOp } from '../ir/runtime-program.js';
import type { TransitionGraph } from '../ir/transitions.js';
import type { CheckedExpectation } from '../plan/plan.js';
import { movesOf } from '../provenance.js';
import { measuredDevices, showFigure, type Bound, type Causes } from './judge-expectation.js';

/** Ops that are listed; a layer has as many, and the rest are of their kind. */
const MOST_OPS = 4;

/** What to show beside the failure: a note for each op, move or part of memory, and each place of the plan once. */
export function expectationCauses(
  expectation: CheckedExpectation,
  runtime: RuntimeGraph,
  transitions: TransitionGraph,
): Causes {
  const stages = runtime.stages.filter(({ name }) => (expectation.stage ?? name) === name);
  if (expectation.kind === 'never') return opCauses(stages, (op) => nameOfOp(op) === expectation.op);
  switch (expectation.measure) {
    case 'collectives':
      return opCauses(
        stages,
        ({ op, layer }) => op === 'collective' && (expectation.per !== 'layer' || layer !== undefined),
      );
    case 'peak':
      return peakCauses(expectation, stages, measuredDevices(expectation, runtime));
    case 'bytes':
      return moveCauses(expectation, transitions);
    case 'transitions':
    case 'time':
      return { notes: [], related: [] };
  }
}

/** The moves of weights or KV that a measure of bytes is about. */
export function moveCauses({ edge, per }: Bound, transitions: TransitionGraph): Causes {
  const kinds = { token: ['kv'], transition: ['weights'], both: ['kv', 'weights'] };
  const wanted = kinds[per === 'token' || per === 'transition' ? per : 'both'].map(
    (kind) => `${edge?.from} -> ${edge?.to}/${kind}`,
  );
  const moves = movesOf(transitions).filter(({ id }) => wanted.includes(id));
  return {
    notes: moves.map(({ id, text }) => `${id}: ${text}`),
    related: placesOf(moves.map(({ origin }) => origin)).map((origin) => ({
      ...origin,
      label: 'this is why something moves',
    })),
  };
}

/** What an op is called in a plan: a collective by its kind. */
export function nameOfOp(op: RuntimeOp): string {
  return op.op === 'collective' ? op.kind : op.op;
}

/** The ops of programs that a measure counts. */
export function opCauses(
  stages: readonly RuntimeStage[],
  counts: (op: RuntimeOp, stage: string, pp: number) => boolean,
): Causes {
  const found = stages.flatMap(({ name, programs }) =>
    programs.flatMap(({ pp, ops }) =>
      ops.filter((op) => counts(op, name, pp)).map((op) => ({ id: `${name}/p${pp}/${op.id}`, op })),
    ),
  );
  const notes = found
    .slice(0, MOST_OPS)
    .map(({ id, op }) => `${id}: ${nameOfOp(op)}${op.layer === undefined ? '' : ` in layer ${op.layer}`}`);
  const more = found.length - notes.length;
  return {
    notes: more > 0 ? [...notes, `and ${more} more`] : notes,
    related: placesOf(found.map(({ op }) => op.origin)).map((origin) => ({
      ...origin,
      label: 'this causes them',
    })),
  };
}

function peakCauses(bound: Bound, stages: readonly RuntimeStage[], devices: RuntimeGraph['devices']): Causes {
  const fullest = devices.toSorted((a, b) => b.peak.total - a.peak.total)[0];
  if (fullest === undefined) return { notes: [], related: [] };
  const { weights, workspace, kv } = fullest.peak;
  const [a, b, c] = [weights, workspace, kv].map((part) => showFigure(bound, part));
  const parts = `weights ${a}, workspace ${b}, KV ${c}`;
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
