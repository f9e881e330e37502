/**
 * Verifies a runtime graph, whether the compiler made it or a file held it: programs are well formed, every receive
 * has its send, ranks name programs, shards and pages that exist, weights cover exactly what the transition graph
 * says each rank holds, transitions leave every weight whole, and memory fits.
 */
import { groupBy } from '../group-by.js';
import { byTensor } from './pieces.js';
import { area, intervalLength, isInOneOf, subtractAll } from './rectangles.js';
import { weightBytes } from './device-layout.js';
import type { KvPool, RuntimeGraph, RuntimeStage, RuntimeWeight, WeightPiece } from './runtime-graph.js';
import { WEIGHT_FORMATS } from '../model/weight-types.js';
import type { RankHolding, TransitionGraph } from './transitions.js';
import { verifyProgram } from './verify-program.js';
import { missingTransitions, verifyTransition } from './verify-runtime-transitions.js';

export interface VerifyRuntimeOptions {
  /** The graph it was lowered from; absent for a graph read from a file. */
  readonly transitions?: TransitionGraph;
  /** Whether it must fit: a plan that does not is lowered too, and a diagnostic says so. Default true. */
  readonly fits?: boolean;
}

/** Problems of a runtime graph; empty when it is sound. */
export function verifyRuntime(graph: RuntimeGraph, options: VerifyRuntimeOptions = {}): readonly string[] {
  const { transitions, fits = true } = options;
  return [
    ...graph.stages.flatMap((stage) =>
      verifyStage(graph, stage, transitions?.holdings[stage.name]).map(
        (problem) => `stage ${stage.name}: ${problem}`,
      ),
    ),
    ...graph.transitions.flatMap((transition) =>
      verifyTransition(graph, transition).map(
        (problem) => `transition ${transition.from} -> ${transition.to}: ${problem}`,
      ),
    ),
    ...(transitions ? missingTransitions(graph, transitions) : []),
    ...verifyPools(graph),
    ...verifyBorrowed(graph),
    ...(fits ? verifyMemory(graph) : []),
  ];
}

function verifyStage(
  graph: RuntimeGraph,
  stage: RuntimeStage,
  holdings: readonly RankHolding[] | undefined,
): string[] {
  const { mesh, programs, ranks, shards } = stage;
  const problems: string[] = [];
  const pool = graph.pools.find((candidate) => candidate.id === stage.pool);
  const replicas = new Map((pool?.ranks ?? []).map((rank) => [rank.device, rank.dp]));
  const known = new Set(graph.devices.map((device) => device.id));
  if (!pool?.stages.includes(stage.name)) problems.push(`its pool ${stage.pool} does not serve it`);
  if (programs.length !== mesh.pp) problems.push(`${programs.length} programs for pp ${mesh.pp}`);
  if (ranks.length !== mesh.dp * mesh.pp * mesh.tp) problems.push(`${ranks.length} ranks in its mesh`);
  ranks.forEach((rank, index) => {
    const program = programs[rank.program];
    const shard = shards[rank.shard];
    const place = (rank.dp * mesh.pp + rank.pp) * mesh.tp + rank.tp;
    if (rank.rank !== index || place !== index) problems.push(`rank ${index} is out of place`);
    if (program?.pp !== rank.pp) problems.push(`rank ${index} runs another pipeline stage's program`);
    if (shard?.pp !== rank.pp || shard.tp !== rank.tp)
      problems.push(`rank ${index} has another rank's weights`);
    if (!known.has(rank.device)) {
      problems.push(`rank ${index} is on device ${rank.device}, which the graph does not have`);
    }
    if (replicas.get(rank.device) !== rank.dp)
      problems.push(`rank ${index} has no pages in pool ${stage.pool}`);
  });
  if (problems.length > 0) return problems;
  programs.forEach((program, pp) => {
    problems.push(...verifyProgram(stage, program, pool).map((problem) => `program ${pp}: ${problem}`));
    problems.push(...verifyExchange(stage, pp));
  });
  for (const shard of shards) {
    const where = `shard pp ${shard.pp} tp ${shard.tp}`;
    const complain = (weight: string, what: string): void =>
      void problems.push(`${where}: weight ${weight}: ${what}`);
    for (const weight of shard.weights) verifyWeight(weight, complain);
    if (new Set(shard.weights.map(({ id }) => id)).size !== shard.weights.length)
      problems.push(`${where}: two weights have the same id`);
  }
  const shardOf = new Map(ranks.map((rank) => [rank.device, shards[rank.shard]]));
  // Replicas hold the same: what is alike is looked at once.
  for (const [shard, members] of groupBy(holdings ?? [], ({ device }) => shardOf.get(device))) {
    const pieces = shard?.weights.flatMap((weight) => weight.pieces) ?? [];
    for (const [weights, alike] of groupBy(members, (rank) => rank.weights))
      if (!coversHoldings(pieces, weights))
        problems.push(...alike.map(({ device }) => `the weights of device ${device} are not its holdings`));
  }
  return problems;
}

/** Sends of a program and receives of the next, one to one with equal columns. */
function verifyExchange(stage: RuntimeStage, pp: number): string[] {
  const program = stage.programs[pp]!;
  const cols = (of: typeof program, value: number): string =>
    `${of.values[value]?.rows} x ${of.values[value]?.cols}`;
  const next = stage.programs[pp + 1];
  const sent = program.ops.flatMap((op) =>
    op.op === 'send' ? [`${op.toPp}: ${cols(program, op.value)}`] : [],
  );
  const received =
    next?.ops.flatMap((op) =>
      op.op === 'recv' && op.fromPp === pp ? [`${pp + 1}: ${cols(next, op.value)}`] : [],
    ) ?? [];
  if (sent.join() !== received.join()) {
    return [`pipeline stage ${pp} sends [${sent.join()}], the next receives [${received.join()}]`];
  }
  const first = program.ops.some((op) => op.op === 'recv' && op.fromPp !== pp - 1);
  return first ? [`pipeline stage ${pp} receives from one that is not before it`] : [];
}

function verifyWeight(weight: RuntimeWeight, complain: (weight: string, what: string) => void): void {
  const { id, pieces } = weight;
  const bytes = weightBytes(weight);
  if (weight.bytes !== bytes) complain(id, `${weight.bytes} bytes, not ${bytes}`);
  const { block } = WEIGHT_FORMATS[weight.dtype];
  for (const { rows, cols, at } of pieces) {
    const height = intervalLength(rows);
    const width = intervalLength(cols);
    if (height <= 0 || width <= 0) complain(id, 'an empty piece');
    if (at[0] < 0 || at[1] < 0 || at[0] + height > weight.rows || at[1] + width > weight.cols)
      complain(id, 'a piece reaches outside it');
    if (at[1] % block !== 0 || cols[0] % block !== 0) complain(id, 'a piece begins inside a block');
  }
  for (let index = 1; index < pieces.length; index++)
    if (overlapsEarlier(pieces, index)) complain(id, 'two pieces overlap');
}

function overlapsEarlier(pieces: RuntimeWeight['pieces'], index: number): boolean {
  const piece = pieces[index]!;
  for (let earlier = 0; earlier < index; earlier++) if (landOnEachOther(piece, pieces[earlier]!)) return true;
  return false;
}

/** Whether two pieces have elements of the buffer in common; asked about all pieces there are, so nothing is made. */
function landOnEachOther(a: WeightPiece, b: WeightPiece): boolean {
  return (
    Math.max(a.at[0], b.at[0]) <
      Math.min(a.at[0] + intervalLength(a.rows), b.at[0] + intervalLength(b.rows)) &&
    Math.max(a.at[1], b.at[1]) < Math.min(a.at[1] + intervalLength(a.cols), b.at[1] + intervalLength(b.cols))
  );
}

const NOTHING: RuntimeWeight['pieces'] = [];

function coversHoldings(pieces: RuntimeWeight['pieces'], weights: RankHolding['weights']): boolean {
  const held = pieces.reduce((sum, piece) => sum + area(piece), 0);
  const wanted = weights.reduce((sum, piece) => sum + area(piece), 0);
  const sorted = byTensor(pieces);
  return (
    held >= wanted &&
    weights.every((piece) => {
      const there = sorted.get(piece.tensor) ?? NOTHING;
      return isInOneOf(there, piece) || subtractAll(piece, there).length === 0;
    })
  );
}

/** Pages that lie in another pool's buffers have the same bytes there, group by group. */
function verifyBorrowed(graph: RuntimeGraph): string[] {
  const sizes = ({ groups, layers, pageBytes }: KvPool['ranks'][number]): string =>
    groups.map(([from, to]) => (pageBytes * (to - from)) / (layers[1] - layers[0])).join(' ');
  return graph.pools.flatMap((pool) => {
    if (pool.within === undefined) return [];
    const owner = graph.pools.find(({ id, within }) => id === pool.within && within === undefined);
    if (owner === undefined) return [`pool ${pool.id}: there is no pool ${pool.within} to lie in`];
    if (pool.pages > owner.pages) return [`pool ${pool.id}: it has more pages than pool ${owner.id}`];
    const differs = pool.ranks.some((rank) => {
      const other = owner.ranks.find(({ device }) => device === rank.device);
      return other === undefined || other.dp !== rank.dp || sizes(other) !== sizes(rank);
    });
    return differs ? [`pool ${pool.id}: its pages are not those of pool ${owner.id}`] : [];
  });
}

function verifyPools(graph: RuntimeGraph): string[] {
  return graph.pools.flatMap((pool) =>
    pool.ranks.flatMap((rank) => {
      let next = rank.layers[0];
      for (const group of rank.groups) {
        if (group[0] !== next || group[1] <= group[0])
          return [`pool ${pool.id}: groups do not partition its layers`];
        next = group[1];
      }
      return next === rank.layers[1] ? [] : [`pool ${pool.id}: groups do not cover its layers`];
    }),
  );
}

/** Bytes of weights on each device while the stage is active that has most of them there. */
function heldBytes(graph: RuntimeGraph): ReadonlyMap<number, number> {
  const held = new Map<number, number>();
  for (const { ranks, shards } of graph.stages) {
    const sizes = shards.map(({ weights }) => weights.reduce((sum, { bytes }) => sum + bytes, 0));
    for (const { device, shard } of ranks)
      held.set(device, Math.max(held.get(device) ?? 0, sizes[shard] ?? 0));
  }
  return held;
}

function verifyMemory(graph: RuntimeGraph): string[] {
  const held = heldBytes(graph);
  return graph.devices.flatMap(({ id, path, budget, peak }) => {
    if (peak.total !== peak.weights + peak.workspace + peak.kv)
      return [`${path}: its peak is not the sum of its parts`];
    if ((held.get(id) ?? 0) > peak.weights) return [`${path}: its peak has not room for all weights`];
    return peak.total > budget ? [`${path} needs ${peak.total} of ${budget} bytes`] : [];
  });
}
