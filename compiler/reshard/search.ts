/**
 * The cheapest way from one layout to another inside a mesh: Dijkstra over the layouts, whose edges are the moves of
 * `layouts.ts`. The result is exact, so its cost obeys the triangle inequality and equals the sum of its moves.
 *
 * One search settles every layout that can be reached from a source; it is kept, so that all targets of a source cost
 * one search. Among equally cheap ways the one with fewest moves wins.
 */
import type { Sharding } from '../ir/sharded.js';
import { createHeap } from './heap.js';
import {
  isLegal,
  layoutKey,
  localBytes,
  movesFrom,
  type LayoutMove,
  type LayoutShape,
  type LinkedMesh,
} from './layouts.js';

/** A way from one layout to another. */
export interface LayoutPath {
  readonly moves: readonly LayoutMove[];
  /** Seconds: the sum over the moves. */
  readonly cost: number;
  /** Bytes that each rank sends, over all moves. */
  readonly bytes: number;
}

export interface LayoutPlanner {
  /**
   * The cheapest way, or undefined when there is none: a target that is partial over an axis over which the source
   * is not, or a layout that the mesh cannot hold.
   */
  readonly path: (shape: LayoutShape, source: Sharding, target: Sharding) => LayoutPath | undefined;
}

interface Settled {
  readonly cost: number;
  readonly count: number;
  /** The move that led here and where from; absent at the source. */
  readonly by?: { readonly move: LayoutMove; readonly from: string };
}

/**
 * A planner for one mesh. `maxLocalBytes` bounds what a rank holds of the value at any point on the way; ways that
 * need more room are not taken.
 */
export function layoutPlanner(linked: LinkedMesh, maxLocalBytes = Infinity): LayoutPlanner {
  const searches = new Map<string, ReadonlyMap<string, Settled>>();
  const path: LayoutPlanner['path'] = (shape, source, target) => {
    if (!isLegal(source, shape, linked.mesh) || !isLegal(target, shape, linked.mesh)) return undefined;
    const [from, to] = [layoutKey(source, shape), layoutKey(target, shape)];
    // Most values lie as their readers want them.
    if (from === to) return STAY;
    const key = `${shapeKey(shape)}#${from}`;
    const settled = searches.get(key) ?? searchFrom(source, shape, linked, maxLocalBytes);
    searches.set(key, settled);
    return traceBack(settled, to);
  };
  return { path };
}

const STAY: LayoutPath = { moves: [], cost: 0, bytes: 0 };

function shapeKey({ dims, elementBytes }: LayoutShape): string {
  return `${elementBytes}:${dims.map(({ name, size }) => `${name} ${size}`).join()}`;
}

interface Visit extends Settled {
  readonly key: string;
  readonly layout: Sharding;
}

function searchFrom(
  source: Sharding,
  shape: LayoutShape,
  linked: LinkedMesh,
  maxLocalBytes: number,
): ReadonlyMap<string, Settled> {
  const settled = new Map<string, Settled>();
  const best = new Map<string, Settled>();
  const open = createHeap<Visit>((a, b) => a.cost - b.cost || a.count - b.count);
  open.push({ key: layoutKey(source, shape), layout: source, cost: 0, count: 0 });
  for (let visit = open.pop(); visit !== undefined; visit = open.pop()) {
    const { key, layout, cost, count, by } = visit;
    if (settled.has(key)) continue;
    settled.set(key, { cost, count, ...(by && { by }) });
    for (const move of movesFrom(layout, shape, linked)) {
      const next = layoutKey(move.result, shape);
      if (settled.has(next) || localBytes(move.result, shape, linked.mesh) > maxLocalBytes) continue;
      const reached = { cost: cost + move.cost, count: count + 1 };
      const rival = best.get(next);
      const better =
        !rival || reached.cost < rival.cost || (reached.cost === rival.cost && reached.count < rival.count);
      if (!better) continue;
      best.set(next, reached);
      open.push({ key: next, layout: move.result, ...reached, by: { move, from: key } });
    }
  }
  return settled;
}

function traceBack(settled: ReadonlyMap<string, Settled>, target: string): LayoutPath | undefined {
  const end = settled.get(target);
  if (!end) return undefined;
  const moves: LayoutMove[] = [];
  for (let at = end; at.by !== undefined; at = settled.get(at.by.from)!) moves.unshift(at.by.move);
  return { moves, cost: end.cost, bytes: moves.reduce((sum, move) => sum + move.bytes, 0) };
}
