/**
 * What happens to the weight buffers of a device set when it changes stage.
 *
 * Per device: a new buffer whose content equals an old one's keeps it; of any other, the pieces that lie in an old
 * buffer are copied inside the device, those that the plan takes from another device are received from its old
 * buffer, and the rest comes from the host copy. Copies need every offset and length to be a multiple of 4 bytes; a
 * piece of 16-bit elements at an odd column is uploaded instead.
 */
import { groupBy } from '../group-by.js';
import { weightRowBytes } from '../ir/device-layout.js';
import type {
  DeviceMoves,
  RuntimeTransition,
  RuntimeWeight,
  WeightCopy,
  WeightPiece,
  WeightReceive,
  WeightShard,
} from '../ir/runtime-graph.js';
import type { WeightReshard } from '../ir/transitions.js';
import type { SentPiece } from '../reshard/plan-moves.js';
import type { SendingGroup } from '../reshard/plan-weights.js';
import { sameContent } from '../ir/weight-content.js';
import { packedBytes, WEIGHT_FORMATS } from '../model/weight-types.js';
import { placeInside } from './lower-weights.js';
import { contains, intervalLength } from '../ir/rectangles.js';

export interface StagePlacement {
  /** Rank position of each device. */
  readonly devices: ReadonlyMap<number, number>;
  /** By shard index: pieces as held, and as cut for transitions. */
  readonly plain: readonly WeightShard[];
  readonly cut: readonly WeightShard[];
}

/** A transition as far as nobody sends anything: what devices keep and copy, and pieces that they lack as uploads. */
export interface OwnTransition {
  readonly transition: RuntimeTransition;
  /** By the moves of the transition. */
  readonly own: readonly OwnMoves[];
}

/** What a device does with what it has. */
export interface OwnMoves {
  /** As moves, what it lacks as uploads. */
  readonly alone: DeviceMoves;
  readonly keep: DeviceMoves['keep'];
  /** New weights that it does not keep, in order. */
  readonly weights: readonly OwnWeight[];
  readonly evict: readonly string[];
}

interface OwnWeight {
  /** Index among the weights of the shard. */
  readonly index: number;
  /** As it was cut for that. */
  readonly weight: RuntimeWeight;
  readonly copies: readonly WeightCopy[];
  /** Pieces that are copied from nowhere, by number. */
  readonly missing: readonly number[];
}

/** Answers what a shard has, tensor by tensor. Shards are looked at once. */
export type SourcesOf = (shard: WeightShard) => SourcesByTensor;

export function shardSources(): SourcesOf {
  const known = new Map<WeightShard, SourcesByTensor>();
  return (shard) => {
    const sources = known.get(shard) ?? piecesByTensor(shard);
    known.set(shard, sources);
    return sources;
  };
}

/** What the shared devices of two stages do by themselves. Those with equal shards do the same. */
export function lowerOwnMoves(
  { from, to, origin }: Pick<WeightReshard, 'from' | 'to' | 'origin'>,
  before: StagePlacement,
  after: StagePlacement,
  sourcesOf: SourcesOf,
): OwnTransition {
  const own: OwnMoves[] = [];
  const known = new Map<string, number>();
  const devices = [...after.devices].flatMap(([device, next]) => {
    const old = before.devices.get(device);
    if (old === undefined) return [];
    const key = `${old} ${next}`;
    const moves = known.get(key) ?? own.length;
    known.set(key, moves);
    if (moves === own.length) {
      const shard = before.plain[old]!;
      own.push(ownMoves(shard, sourcesOf(shard), after.plain[next]!, after.cut[next]!));
    }
    return [{ device, moves, peers: [] }];
  });
  return { transition: { from, to, moves: own.map(({ alone }) => alone), devices, origin }, own };
}

function ownMoves(
  old: WeightShard,
  sources: SourcesByTensor,
  plain: WeightShard,
  cut: WeightShard,
): OwnMoves {
  const kept = keptPairs(old, plain);
  const keep: { weight: string; old: string }[] = [];
  const weights: OwnWeight[] = [];
  plain.weights.forEach(({ id }, index) => {
    const same = kept.get(id);
    if (same === undefined) weights.push(ownWeight(cut.weights[index]!, index, sources));
    else keep.push({ weight: id, old: same });
  });
  const stays = new Set(kept.values());
  const evict = old.weights.map((weight) => weight.id).filter((id) => !stays.has(id));
  return { alone: uploadingRest(keep, weights, evict), keep, weights, evict };
}

function ownWeight(weight: RuntimeWeight, index: number, sources: SourcesByTensor): OwnWeight {
  const stride = weightRowBytes(weight);
  const copies: WeightCopy[] = [];
  const missing: number[] = [];
  weight.pieces.forEach((piece, number) => {
    const source = sourceOf(sources, piece);
    const run = source && copyOf(weight, stride, piece, source);
    if (run) copies.push(run);
    else missing.push(number);
  });
  return { index, weight, copies, missing };
}

function uploadingRest(
  keep: DeviceMoves['keep'],
  weights: readonly OwnWeight[],
  evict: DeviceMoves['evict'],
): DeviceMoves {
  return {
    keep,
    copy: weights.flatMap(({ copies }) => copies),
    upload: weights
      .filter(({ weight, missing }) => isUploaded(weight, missing))
      .map(({ weight, missing }) => ({ weight: weight.id, pieces: missing })),
    evict,
    uploadBytes: 0,
  };
}

/** A weight without pieces is all zero and still has to be written. */
function isUploaded(weight: RuntimeWeight, missing: readonly number[]): boolean {
  return missing.length > 0 || weight.pieces.length === 0;
}

/**
 * The transition of every shared device of two stages, with what devices send to each other. Groups that do the same
 * with equal shards are lowered once; a device that is sent nothing does what it does alone, which is the same value.
 *
 * @param to cut along what is sent as well
 */
export function lowerTransition(
  groups: readonly SendingGroup[],
  { transition, own }: OwnTransition,
  from: StagePlacement,
  to: StagePlacement,
  sourcesOf: SourcesOf,
): RuntimeTransition {
  const ownOf = new Map(transition.devices.map(({ device, moves }) => [device, own[moves]!]));
  const moves: DeviceMoves[] = [];
  const entries = new Map<number, RuntimeTransition['devices'][number]>();
  for (const [sent, alike] of groupBy(groups, (group) => group.sent)) {
    const shardsOf = ({ devices }: SendingGroup): string =>
      devices.map((device) => `${from.devices.get(device)} ${to.devices.get(device)}`).join();
    for (const members of groupBy(alike, shardsOf).values()) {
      const places = members[0]!.devices.map((device): Place => ({
        old: shardOn(from.plain, from, device),
        next: shardOn(to.cut, to, device),
        own: ownOf.get(device),
      }));
      for (const { place, peers, moves: mine } of lowerGroup(sent, places, sourcesOf)) {
        const index = moves.push(mine) - 1;
        for (const { devices } of members) {
          const device = devices[place]!;
          entries.set(device, { device, moves: index, peers: peers.map((peer) => devices[peer]!) });
        }
      }
    }
  }
  const devices = transition.devices.flatMap(({ device }) => entries.get(device) ?? []);
  return { ...transition, moves, devices };
}

function shardOn(
  shards: readonly WeightShard[],
  { devices }: StagePlacement,
  device: number,
): WeightShard | undefined {
  return shards[devices.get(device) ?? -1];
}

/** A place of a group: its shards in the stage that is left and in the next, where these have ranks there. */
interface Place {
  readonly old: WeightShard | undefined;
  readonly next: WeightShard | undefined;
  readonly own: OwnMoves | undefined;
}

interface PlaceMoves {
  readonly place: number;
  readonly moves: DeviceMoves;
  /** Places it receives from. */
  readonly peers: readonly number[];
}

function lowerGroup(
  pieces: readonly SentPiece[],
  places: readonly Place[],
  sourcesOf: SourcesOf,
): readonly PlaceMoves[] {
  const arriving = groupBy(pieces, ({ device }) => device);
  return places.flatMap(({ old, next, own }, place) => {
    if (old === undefined || next === undefined || own === undefined) return [];
    const received = arriving.get(place) ?? NOTHING;
    if (received.length === 0 && own.weights.every(({ weight, index }) => next.weights[index] === weight))
      return [{ place, peers: [], moves: own.alone }];
    const peers = [...new Set(received.map(({ source }) => source))];
    const mine = groupBy(received, ({ piece }) => piece.tensor);
    const sent: Sent = (piece) => {
      for (const move of mine.get(piece.tensor) ?? NOTHING) {
        if (!contains(move.piece, piece)) continue;
        const sender = places[move.source]!.old;
        const source = sender && sourceOf(sourcesOf(sender), piece);
        return source && { peer: peers.indexOf(move.source), source };
      }
      return undefined;
    };
    return [{ place, peers, moves: withSent(own, next, sourcesOf(old), sent) }];
  });
}

const NOTHING: readonly SentPiece[] = [];

/** What a device does when others send to it. */
function withSent(own: OwnMoves, cut: WeightShard, sources: SourcesByTensor, sent: Sent): DeviceMoves {
  const copy: WeightCopy[] = [];
  const receive: WeightReceive[] = [];
  const upload: DeviceMoves['upload'][number][] = [];
  for (const known of own.weights) {
    const weight = cut.weights[known.index]!;
    const { copies, missing } = weight === known.weight ? known : ownWeight(weight, known.index, sources);
    copy.push(...copies);
    const stride = weightRowBytes(weight);
    const rest: number[] = [];
    for (const number of missing) {
      const piece = weight.pieces[number]!;
      const peer = sent(piece);
      const received = peer && copyOf(weight, stride, piece, peer.source);
      if (received) receive.push(receivedPiece(received, number, peer.peer));
      else rest.push(number);
    }
    if (isUploaded(weight, rest)) upload.push({ weight: weight.id, pieces: rest });
  }
  const { keep, evict } = own;
  return { keep, copy, ...(receive.length > 0 && { receive }), upload, evict, uploadBytes: 0 };
}

/** Spelled out: objects of one shape are made and read faster than copies with more. */
function receivedPiece(copy: WeightCopy, piece: number, peer: number): WeightReceive {
  const { weight, old, at, stride, oldAt, oldStride, runBytes, rows } = copy;
  return { weight, old, at, stride, oldAt, oldStride, runBytes, rows, piece, peer };
}

/**
 * New weights with the old ones that they stay in: of the same content and, if there is one, of the same name. Of
 * several equal weights (all zero, say) the first stays, in both directions, for it has one place in both stages.
 */
function keptPairs(old: WeightShard, plain: WeightShard): ReadonlyMap<string, string> {
  const before = new Map(old.weights.map((weight) => [weight.id, weight]));
  const kept = new Map<string, string>();
  const rest = plain.weights.filter((weight) => {
    const namesake = before.get(weight.id);
    if (namesake === undefined || !sameContent(namesake, weight)) return true;
    kept.set(weight.id, weight.id);
    return false;
  });
  // Equal weights begin with the same tensor, or have none.
  const unclaimed = groupBy(
    old.weights.filter(({ id }) => !kept.has(id)),
    firstTensor,
  );
  const claimed = new Set<RuntimeWeight>();
  for (const weight of rest) {
    const same = unclaimed.get(firstTensor(weight))?.find((candidate) => sameContent(candidate, weight));
    if (same === undefined || claimed.has(same)) continue;
    kept.set(weight.id, same.id);
    claimed.add(same);
  }
  return kept;
}

function firstTensor({ pieces }: RuntimeWeight): string | undefined {
  return pieces[0]?.tensor;
}

type SourcesByTensor = ReadonlyMap<string, readonly Source[]>;

/** The peer that sends a piece by plan, and its buffer that has it. */
type Sent = (piece: WeightPiece) => { readonly peer: number; readonly source: Source } | undefined;

interface Source {
  readonly weight: RuntimeWeight;
  /** Bytes from one of its rows to the next. */
  readonly stride: number;
  readonly piece: WeightPiece;
}

function piecesByTensor(shard: WeightShard): SourcesByTensor {
  const sources = new Map<string, Source[]>();
  for (const weight of shard.weights) {
    const stride = weightRowBytes(weight);
    for (const piece of weight.pieces) {
      const source = { weight, stride, piece };
      const others = sources.get(piece.tensor);
      if (others) others.push(source);
      else sources.set(piece.tensor, [source]);
    }
  }
  return sources;
}

function sourceOf(sources: SourcesByTensor, piece: WeightPiece): Source | undefined {
  const candidates = sources.get(piece.tensor);
  if (candidates !== undefined)
    for (const candidate of candidates) if (contains(candidate.piece, piece)) return candidate;
  return undefined;
}

/**
 * The copy of a piece from an old buffer, as one run where rows are contiguous in both; undefined if it is unaligned
 * or the buffer has another element type.
 *
 * @param stride bytes from one row of the weight to the next
 */
function copyOf(
  weight: RuntimeWeight,
  stride: number,
  piece: WeightPiece,
  source: Source,
): WeightCopy | undefined {
  const { dtype } = weight;
  if (source.weight.dtype !== dtype) return undefined;
  const { stride: oldStride } = source;
  const [oldRow, oldCol] = placeInside(source.piece, piece.rows, piece.cols);
  const { block } = WEIGHT_FORMATS[dtype];
  if (piece.at[1] % block !== 0 || oldCol % block !== 0) return undefined;
  const at = piece.at[0] * stride + packedBytes(dtype, piece.at[1]);
  const oldAt = oldRow * oldStride + packedBytes(dtype, oldCol);
  const width = packedBytes(dtype, intervalLength(piece.cols));
  const rows = intervalLength(piece.rows);
  const wholeRows = weight.cols === source.weight.cols && width === packedBytes(dtype, weight.cols);
  // Rows of equal stride are one run, the zero padding between them included.
  const run = wholeRows || rows === 1;
  const runBytes = run ? (rows - 1) * stride + width : width;
  if (at % 4 !== 0 || oldAt % 4 !== 0 || runBytes % 4 !== 0) return undefined;
  return {
    weight: weight.id,
    old: source.weight.id,
    at,
    stride,
    oldAt,
    oldStride,
    runBytes,
    rows: run ? 1 : rows,
  };
}
