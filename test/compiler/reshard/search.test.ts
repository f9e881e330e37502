/** The layout search as mathematics: a metric, equal to brute force, and true when executed on element ids. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Sharding } from '../../../compiler/ir/sharded.js';
import {
  layoutKey,
  localBytes,
  movesFrom,
  type LayoutShape,
  type LinkedMesh,
} from '../../../compiler/reshard/layouts.js';
import { layoutPlanner } from '../../../compiler/reshard/search.js';
import { allLayouts, arbitraryMesh, arbitraryShape, wholeLayouts } from '../support/arbitrary-layouts.js';
import { execute, layOut } from '../support/layout-executor.js';

const pick = (layouts: readonly Sharding[], index: number): Sharding => layouts[index % layouts.length]!;

/** Costs between all layouts by relaxing every move until nothing changes. */
function bruteForce(shape: LayoutShape, linked: LinkedMesh, source: Sharding): ReadonlyMap<string, number> {
  const layouts = allLayouts(shape, linked);
  const costs = new Map(layouts.map((layout) => [layoutKey(layout, shape), Infinity]));
  costs.set(layoutKey(source, shape), 0);
  for (let changed = true; changed;) {
    changed = false;
    for (const layout of layouts) {
      const here = costs.get(layoutKey(layout, shape))!;
      for (const { result, cost } of movesFrom(layout, shape, linked)) {
        const key = layoutKey(result, shape);
        if (here + cost < costs.get(key)! - 1e-15) {
          costs.set(key, here + cost);
          changed = true;
        }
      }
    }
  }
  return costs;
}

const LINKS = {
  dp: { latency: 1e-6, bandwidth: 1e9 },
  pp: { latency: 1e-6, bandwidth: 1e9 },
  tp: { latency: 1e-6, bandwidth: 1e9 },
};

describe('layout paths', () => {
  it('put every element where the target layout says, and cost what their moves cost', () => {
    let moved = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }).chain(arbitraryMesh),
        arbitraryShape,
        fc.nat(),
        fc.nat(),
        (linked, shape, from, to) => {
          const source = pick(allLayouts(shape, linked), from);
          const target = pick(allLayouts(shape, linked), to);
          const path = layoutPlanner(linked).path(shape, source, target);
          const reachable = target.partial.every((axis) => source.partial.includes(axis));
          expect(path !== undefined).toBe(reachable);
          if (!path) return;
          let blocks = layOut(source, shape, linked.mesh);
          let cost = 0;
          for (const move of path.moves) {
            const done = execute(move, blocks, shape, linked.mesh);
            blocks = done.blocks;
            const even = move.bytes === done.sent * shape.elementBytes;
            // A short last block is padded to the size of the others on the wire.
            expect(even || move.bytes > done.sent * shape.elementBytes).toBe(true);
            cost += move.cost;
            moved++;
          }
          expect(blocks).toEqual(layOut(target, shape, linked.mesh));
          expect(path.cost).toBeCloseTo(cost, 12);
        },
      ),
      { numRuns: 200 },
    );
    expect(moved).toBeGreaterThan(100);
  }, 60_000);

  it('equal brute force on one and two axes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 }).chain(arbitraryMesh),
        arbitraryShape,
        fc.nat(),
        (linked, shape, from) => {
          const source = pick(allLayouts(shape, linked), from);
          const planner = layoutPlanner(linked);
          const expected = bruteForce(shape, linked, source);
          for (const target of allLayouts(shape, linked)) {
            const cost = planner.path(shape, source, target)?.cost ?? Infinity;
            const least = expected.get(layoutKey(target, shape))!;
            expect(cost === least || Math.abs(cost - least) <= 1e-9 * least).toBe(true);
          }
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

  it('obey the triangle inequality, and stay put for nothing', () => {
    fc.assert(
      fc.property(
        arbitraryMesh(3),
        arbitraryShape,
        fc.tuple(fc.nat(), fc.nat(), fc.nat()),
        (linked, shape, picks) => {
          const [a, b, c] = picks.map((index) => pick(wholeLayouts(shape, linked), index));
          const planner = layoutPlanner(linked);
          const cost = (from: Sharding, to: Sharding): number => planner.path(shape, from, to)!.cost;
          expect(cost(a!, c!)).toBeLessThanOrEqual((cost(a!, b!) + cost(b!, c!)) * (1 + 1e-12));
          expect(planner.path(shape, a!, a!)).toEqual({ moves: [], cost: 0, bytes: 0 });
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

  it('exchange in one step where gathering all would send more', () => {
    const linked = { mesh: { dp: 1, pp: 1, tp: 4 }, links: LINKS };
    const shape: LayoutShape = {
      dims: [
        { name: 'tokens', size: 64 },
        { name: 'heads', size: 16 },
      ],
      elementBytes: 2,
    };
    const path = layoutPlanner(linked).path(
      shape,
      { dims: { heads: ['tp'] }, partial: [] },
      { dims: { tokens: ['tp'] }, partial: [] },
    )!;
    expect(path.moves).toMatchObject([{ kind: 'all_to_all', gathers: 'heads', splits: 'tokens' }]);
    expect(path.bytes).toBe((3 / 4) * ((64 * 16 * 2) / 4));
  });

  it('take no way that needs more room than there is', () => {
    const linked = { mesh: { dp: 2, pp: 1, tp: 2 }, links: LINKS };
    const shape: LayoutShape = {
      dims: [
        { name: 'tokens', size: 8 },
        { name: 'heads', size: 8 },
      ],
      elementBytes: 4,
    };
    const source: Sharding = { dims: { tokens: ['dp', 'tp'] }, partial: [] };
    const target: Sharding = { dims: { heads: ['tp', 'dp'] }, partial: [] };
    const turned: Sharding = { dims: { heads: ['dp', 'tp'] }, partial: [] };
    const quarter = 64;
    const tight = layoutPlanner(linked, quarter).path(shape, source, target)!;
    for (const { result } of tight.moves)
      expect(localBytes(result, shape, linked.mesh)).toBeLessThanOrEqual(quarter);
    // The other order of the axes is only reached through a gather.
    expect(layoutPlanner(linked, quarter).path(shape, source, turned)).toBeUndefined();
    expect(layoutPlanner(linked).path(shape, source, turned)).toBeDefined();
  });

  it('cost one search for all targets of a source', () => {
    const linked = { mesh: { dp: 4, pp: 2, tp: 8 }, links: LINKS };
    let priced = 0;
    const counted: LinkedMesh = {
      mesh: linked.mesh,
      get links() {
        priced++;
        return linked.links;
      },
    };
    const shape: LayoutShape = {
      dims: [
        { name: 'tokens', size: 4096 },
        { name: 'heads', size: 64 },
        { name: 'hidden', size: 512 },
      ],
      elementBytes: 2,
    };
    const layouts = wholeLayouts(shape, linked);
    const planner = layoutPlanner(counted);
    expect(planner.path(shape, layouts[1]!, layouts[0]!)).toBeDefined();
    const once = priced;
    expect(once).toBeGreaterThan(layouts.length);
    for (const target of layouts) expect(planner.path(shape, layouts[1]!, target)).toBeDefined();
    expect(priced).toBe(once);
  });
});
