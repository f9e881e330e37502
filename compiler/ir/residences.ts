/**
 * Which stages can be resident together. Stages that share devices form a group; within a group, stages without a
 * transition between them share a residence: their weights are the same, or all of them stay on the devices under
 * names of their own.
 */
import type { TransitionsByResidence } from './weight-arena.js';
import {
  movesOfDevice,
  type DeviceMoves,
  type RuntimeGraph,
  type RuntimeStage,
  type RuntimeTransition,
  type RuntimeWeight,
} from './runtime-graph.js';

/** What is looked at of a graph; ranks and weights of a stage, transitions between stages. */
export interface Residing {
  readonly stages: readonly Pick<RuntimeStage, 'name' | 'ranks' | 'shards'>[];
  readonly transitions: RuntimeGraph['transitions'];
}

export interface StageResidence {
  readonly group: string;
  readonly residence: string;
}

/** Group and residence of every stage, each named after its first stage. */
export function residencesOf(graph: Residing): ReadonlyMap<string, StageResidence> {
  const result = new Map<string, StageResidence>();
  for (const stage of graph.stages) {
    const earlier = graph.stages.slice(0, graph.stages.indexOf(stage));
    const neighbour = earlier.find((other) => sharesDevice(stage, other));
    const group = neighbour === undefined ? stage.name : result.get(neighbour.name)!.group;
    const twin = earlier.find((other) => sharesDevice(stage, other) && !separated(graph, stage, other));
    const residence = twin === undefined ? stage.name : result.get(twin.name)!.residence;
    result.set(stage.name, { group, residence });
  }
  return result;
}

function sharesDevice(a: Residing['stages'][number], b: Residing['stages'][number]): boolean {
  return a.ranks.some((rank) => b.ranks.some((other) => other.device === rank.device));
}

function separated(graph: Residing, a: Residing['stages'][number], b: Residing['stages'][number]): boolean {
  return graph.transitions.some(
    ({ from, to }) => (from === a.name && to === b.name) || (from === b.name && to === a.name),
  );
}

/** Weights of every residence on one device, in stage order: those of all its stages, equal names once. */
export function deviceResidences(
  graph: Residing,
  residences: ReadonlyMap<string, StageResidence>,
  device: number,
): { readonly name: string; readonly weights: readonly RuntimeWeight[] }[] {
  const held = new Map<string, Map<string, RuntimeWeight>>();
  for (const stage of graph.stages) {
    const rank = stage.ranks.find((candidate) => candidate.device === device);
    if (rank === undefined) continue;
    const name = residences.get(stage.name)!.residence;
    const weights = held.get(name) ?? new Map<string, RuntimeWeight>();
    held.set(name, weights);
    for (const weight of stage.shards[rank.shard]!.weights) weights.set(weight.id, weight);
  }
  return [...held].map(([name, weights]) => ({ name, weights: [...weights.values()] }));
}

/** The transition between two residences, if their stages need one. */
export function transitionBetween(
  graph: Residing,
  residences: ReadonlyMap<string, StageResidence>,
  from: string,
  to: string,
): RuntimeTransition | undefined {
  const residence = (stage: string): string | undefined => residences.get(stage)?.residence;
  return graph.transitions.find(
    (candidate) => residence(candidate.from) === residence(from) && residence(candidate.to) === residence(to),
  );
}

/** What a device does to get from one residence to another, for every two that it changes between. */
export function deviceTransitions(
  graph: Residing,
  residences: ReadonlyMap<string, StageResidence>,
  device: number,
): TransitionsByResidence {
  const result = new Map<string, DeviceMoves>();
  for (const from of graph.stages) {
    for (const to of graph.stages) {
      const transition = transitionBetween(graph, residences, from.name, to.name);
      const moves = transition && movesOfDevice(transition, device);
      if (moves === undefined) continue;
      const key = `${residences.get(from.name)!.residence}->${residences.get(to.name)!.residence}`;
      result.set(key, moves);
    }
  }
  return result;
}

/**
 * How soon a residence's steps need each weight of a device: its layer, below 0 for what comes before the first and the
 * number of layers for what comes after the last. So pipeline stages come one after another, and the ranks of one go
 * side by side.
 */
export function weightUrgency(
  graph: RuntimeGraph,
  residences: ReadonlyMap<string, StageResidence>,
  device: number,
): (residence: string, weight: string) => number {
  const needed = new Map<string, number>();
  for (const stage of graph.stages) {
    const rank = stage.ranks.find((candidate) => candidate.device === device);
    if (rank === undefined) continue;
    const { ops, layers } = stage.programs[rank.program]!;
    let layer = layers[0] - 1;
    for (const op of ops) {
      if (op.op !== 'kernel') continue;
      layer = op.layer ?? (layer < layers[0] ? layer : layers[1]);
      for (const operand of op.operands) {
        if (!('weight' in operand)) continue;
        const key = `${residences.get(stage.name)!.residence}/${operand.weight}`;
        needed.set(key, Math.min(needed.get(key) ?? Infinity, layer));
      }
    }
  }
  return (residence, weight) => needed.get(`${residence}/${weight}`) ?? graph.model.shape.layers;
}
