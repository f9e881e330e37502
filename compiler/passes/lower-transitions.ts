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
import type { GroupPlan, ReshardGroup, WeightReshard } from '../ir/transitions.js';
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

/** The transition of every shared device of two stages. Groups that do the same with equal shards are lowered once. */
export function lowerTransition(
  reshard: WeightReshard,
  from: StagePlacement,
  to: StagePlacement,
): RuntimeTransition {
  const moves: DeviceMoves[] = [];
  const entries = new Map<number, RuntimeTransition['devices'][number]>();
  for (const [plan, groups] of groupBy(reshard.groups, (group) => group.plan)) {
    const shardsOf = ({ devices }: ReshardGroup): readonly PlaceShards[] =>
      devices.map((device) => ({ old: from.devices.get(device), next: to.devices.get(device) }));
    const alike = groupBy(groups, (group) => JSON.stringify(shardsOf(group)));
    for (const members of alike.values()) {
      for (const { place, peers, moves: own } of lowerGroup(plan, shardsOf(members[0]!), from, to)) {
        const index = moves.push(own) - 1;
        for (const { devices } of members) {
          const device = devices[place]!;
          entries.set(device, { device, moves: index, peers: peers.map((peer) => devices[peer]!) });
        }
      }
    }
  }
  const devices = [...to.devices.keys()].flatMap((device) => entries.get(device) ?? []);
  return { from: reshard.from, to: reshard.to, moves, devices, origin: reshard.origin };
}

/** Shard index of a place in the stage that is left, and in the next; undefined where a stage has no rank there. */
interface PlaceShards {
  readonly old: number | undefined;
  readonly next: number | undefined;
}

interface PlaceMoves {
  readonly place: number;
  readonly moves: DeviceMoves;
  /** Places it receives from. */
  readonly peers: readonly number[];
}

function lowerGroup(
  plan: GroupPlan,
  shards: readonly PlaceShards[],
  from: StagePlacement,
  to: StagePlacement,
): readonly PlaceMoves[] {
  const arriving = groupBy(
    plan.moves.filter((move) => move.kind === 'peer'),
    (move) => move.device,
  );
  const sources = shards.map(({ old }) => piecesByTensor(old === undefined ? undefined : from.plain[old]));
  return shards.flatMap(({ old, next }, place) => {
    if (old === undefined || next === undefined) return [];
    const received = arriving.get(place) ?? [];
    const peers = [...new Set(received.map((move) => move.source!))];
    const mine = groupBy(received, ({ piece }) => piece.tensor);
    const sent: Sent = (piece) => {
      const move = mine.get(piece.tensor)?.find((candidate) => contains(candidate.piece, piece));
      const source = move && sourceOf(sources[move.source!]!, piece);
      return source && { peer: peers.indexOf(move.source!), source };
    };
    const moves = deviceMoves(from.plain[old]!, sources[place]!, to.plain[next]!, to.cut[next]!, sent);
    return [{ place, peers, moves }];
  });
}

function deviceMoves(
  old: WeightShard,
  sources: SourcesByTensor,
  plain: WeightShard,
  cut: WeightShard,
  sent: Sent,
): DeviceMoves {
  const kept = keptPairs(old, plain);
  const keep: { weight: string; old: string }[] = [];
  const copy: WeightCopy[] = [];
  const receive: WeightReceive[] = [];
  const upload: { weight: string; pieces: number[] }[] = [];
  plain.weights.forEach((weight, index) => {
    const same = kept.get(weight.id);
    if (same !== undefined) {
      keep.push({ weight: weight.id, old: same });
      return;
    }
    const stride = weightRowBytes(weight);
    const missing: number[] = [];
    cut.weights[index]!.pieces.forEach((piece, number) => {
      const source = sourceOf(sources, piece);
      const run = source && copyOf(weight, stride, piece, source);
      const peer = run ? undefined : sent(piece);
      const received = peer && copyOf(weight, stride, piece, peer.source);
      if (run) {
        copy.push(run);
      } else if (received) {
        receive.push({ ...received, piece: number, peer: peer.peer });
      } else {
        missing.push(number);
      }
    });
    // A weight without pieces is all zero and still has to be written.
    if (missing.length > 0 || weight.pieces.length === 0) upload.push({ weight: weight.id, pieces: missing });
  });
  const stays = new Set(kept.values());
  const evict = old.weights.map((weight) => weight.id).filter((id) => !stays.has(id));
  return { keep, copy, ...(receive.length > 0 && { receive }), upload, evict, uploadBytes: 0 };
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

function piecesByTensor(shard: WeightShard | undefined): SourcesByTensor {
  const sources = new Map<string, Source[]>();
  for (const weight of shard?.weights ?? []) {
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
  return sources.get(piece.tensor)?.find((candidate) => contains(candidate.piece, piece));
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
