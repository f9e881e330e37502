/** Verifies the transitions of a runtime graph: each leaves every weight whole, from what was there before. */
import { groupBy } from '../group-by.js';
import { numbered } from '../numbered.js';
import { packedBytes } from '../model/weight-types.js';
import { intervalLength, type Rectangle } from './rectangles.js';
import type {
  DeviceMoves,
  RuntimeGraph,
  RuntimeTransition,
  RuntimeWeight,
  WeightCopy,
  WeightReceive,
  WeightShard,
} from './runtime-graph.js';
import type { TransitionGraph } from './transitions.js';

/** Weights by id. */
type WeightsById = ReadonlyMap<string, RuntimeWeight>;

/** Problems of one transition of a graph. */
export function verifyTransition(graph: RuntimeGraph, transition: RuntimeTransition): string[] {
  const stages = new Map(graph.stages.map((stage) => [stage.name, stage]));
  const [before, after] = [transition.from, transition.to].map((name) => {
    const stage = stages.get(name);
    return new Map((stage?.ranks ?? []).map((rank) => [rank.device, stage!.shards[rank.shard]]));
  });
  const known = new Map<WeightShard | undefined, WeightsById>();
  const weightsOf = (shard: WeightShard | undefined): WeightsById => {
    const weights = known.get(shard) ?? new Map((shard?.weights ?? []).map((weight) => [weight.id, weight]));
    known.set(shard, weights);
    return weights;
  };
  const back = graph.transitions.find(({ from, to }) => from === transition.to && to === transition.from);
  const movesBack = new Map(back?.devices.map((entry) => [entry.device, back.moves[entry.moves]]));
  const idOf = numbered<unknown>();
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const { device, moves: index, peers } of transition.devices) {
    const moves = transition.moves[index];
    if (moves === undefined) {
      problems.push(`device ${device}: its moves are not listed`);
      continue;
    }
    if (peers.includes(device)) problems.push(`device ${device}: receives from itself`);
    const shards = [before!.get(device), after!.get(device), ...peers.map((peer) => before!.get(peer))];
    // Devices that do the same with the same weights are looked at once.
    const key = [index, ...shards.map(idOf), idOf(movesBack.get(device))].join();
    if (seen.has(key)) continue;
    seen.add(key);
    const [old, wanted, ...senders] = shards.map(weightsOf);
    problems.push(
      ...verifyMoves(moves, old!, wanted!, senders, movesBack.get(device)).map(
        (problem) => `device ${device}: ${problem}`,
      ),
    );
  }
  return problems;
}

const NO_PIECES: readonly number[] = [];
const NO_RECEIVES: readonly WeightReceive[] = [];

/** `back`: what the device does on the way back, where it has one. */
function verifyMoves(
  moves: DeviceMoves,
  old: WeightsById,
  wanted: WeightsById,
  peers: readonly WeightsById[],
  back: DeviceMoves | undefined,
): string[] {
  const problems: string[] = [];
  const complain = (what: string): void => void problems.push(what);
  // What stays has one place in both stages.
  const stays = new Map(back?.keep.map((entry) => [entry.weight, entry.old]));
  const keptBack = (weight: string, was: string): boolean => !back || stays.get(was) === weight;
  const stay = new Set(moves.keep.map((entry) => entry.weight));
  for (const { weight, old: id } of moves.keep) {
    if (old.get(id)?.bytes !== wanted.get(weight)?.bytes) complain(`${weight} cannot stay in ${id}`);
    if (!keptBack(weight, id)) complain(`${weight} stays in ${id}, but not on the way back`);
  }
  const receive = moves.receive ?? [];
  const verifyCopy = (copy: WeightCopy, sender: WeightsById | undefined): void => {
    const from = sender?.get(copy.old);
    const to = wanted.get(copy.weight);
    const end = (at: number, stride: number): number => at + (copy.rows - 1) * stride + copy.runBytes;
    const inside =
      from && to && end(copy.oldAt, copy.oldStride) <= from.bytes && end(copy.at, copy.stride) <= to.bytes;
    if (!inside) complain(`a copy to ${copy.weight} reaches outside its buffers`);
    if (copy.at % 4 !== 0 || copy.oldAt % 4 !== 0 || copy.runBytes % 4 !== 0) {
      complain(`a copy to ${copy.weight} is not aligned`);
    }
  };
  for (const copy of moves.copy) verifyCopy(copy, old);
  for (const copy of receive) verifyCopy(copy, peers[copy.peer]);
  for (const { weight, piece, runBytes, rows } of receive) {
    const target = wanted.get(weight)?.pieces[piece];
    // The run of a piece that is whole rows takes the padding between them along.
    const least = (dtype: RuntimeWeight['dtype'], { rows: height, cols }: Rectangle): number =>
      intervalLength(height) * packedBytes(dtype, intervalLength(cols));
    if (!target || runBytes * rows < least(wanted.get(weight)!.dtype, target))
      complain(`receives only part of ${weight}`);
  }
  for (const { weight, at, bytes } of moves.inPlace ?? []) {
    const target = wanted.get(weight);
    if (!target || at + bytes > target.bytes) complain(`more of ${weight} is in place than there is`);
    if (stay.has(weight)) complain(`${weight} is kept and in place`);
  }
  for (const { weight, pieces } of moves.upload) {
    const target = wanted.get(weight);
    if (!target || pieces.some((index) => !target.pieces[index])) complain(`no such piece of ${weight}`);
  }
  const uploads = new Map(moves.upload.map((entry) => [entry.weight, entry.pieces]));
  const copied = new Map<string, number>();
  for (const { weight } of moves.copy) copied.set(weight, (copied.get(weight) ?? 0) + 1);
  const receiving = groupBy(receive, (entry) => entry.weight);
  wanted.forEach(({ pieces }, id) => {
    if (stay.has(id)) return;
    const missing = pieces.length - (copied.get(id) ?? 0);
    const uploading = uploads.get(id) ?? NO_PIECES;
    const received = receiving.get(id) ?? NO_RECEIVES;
    const all = uploading.length + received.length;
    const coming = all < 2 ? all : new Set([...uploading, ...received.map(({ piece }) => piece)]).size;
    if (coming < all) complain(`part of ${id} is received twice`);
    if (missing !== coming) complain(`${id} is not whole afterwards`);
    if (pieces.length === 0 && !uploads.has(id)) complain(`${id} is never zeroed`);
  });
  if (moves.writes !== undefined) {
    const writes = new Set(moves.writes.map(({ weight }) => weight));
    const there = new Set(moves.inPlace?.map(({ weight }) => weight));
    if (writes.size < moves.writes.length) complain('a weight is written twice');
    for (const { weight, behind } of moves.writes) {
      if (!wanted.has(weight) || stay.has(weight)) complain(`${weight} is written and need not be`);
      if (behind !== undefined && !old.has(behind))
        complain(`${weight} is written behind ${behind}, which is not there`);
    }
    for (const id of wanted.keys())
      if (!writes.has(id) && !stay.has(id) && !there.has(id)) complain(`${id} is never written`);
  }
  const kept = new Set(moves.keep.map((entry) => entry.old));
  if (moves.evict.some((id) => kept.has(id) || !old.has(id))) complain('evicts what it keeps or never had');
  return problems;
}

/** Every re-shard of the transition graph has its runtime transition, and brings no less than must be brought. */
export function missingTransitions(graph: RuntimeGraph, transitions: TransitionGraph): string[] {
  return transitions.weights.flatMap(({ from, to, lowerBound }) => {
    const found = graph.transitions.find((candidate) => candidate.from === from && candidate.to === to);
    if (!found) return [`no transition ${from} -> ${to}`];
    const each = found.moves.map(({ uploadBytes, receiveBytes = 0 }) => uploadBytes + receiveBytes);
    const brought = found.devices.reduce((sum, { moves }) => sum + (each[moves] ?? 0), 0);
    return brought < lowerBound ? [`transition ${from} -> ${to} brings less than the lower bound`] : [];
  });
}
