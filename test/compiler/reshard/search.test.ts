/** The layout search as mathematics: a metric, equal to brute force, and true when executed on element ids. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COLLECTIVES } from '../../../compiler/ir/collective-table.js';
import type { Sharding } from '../../../compiler/ir/sharded.js';
import { sameSharding } from '../../../compiler/ir/sharding-algebra.js';
import { routesOf } from '../../../compiler/plan/routes.js';
import { linkedMesh } from '../../../compiler/reshard/linked-mesh.js';
import {
  collectivesOf,
  layoutKey,
  localBytes,
  movesFrom,
  type LayoutShape,
  type LinkedMesh,
} from '../../../compiler/reshard/layouts.js';
import { layoutPlanner } from '../../../compiler/reshard/search.js';
import { allLayouts, arbitraryMesh, arbitraryShape, wholeLayouts } from '../support/arbitrary-layouts.js';
import { makeMachine } from '../support/arbitrary-placement.js';
import { makePlan } from '../support/make-plan.js';
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

  it('are made of moves that collectives of the table carry out', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(arbitraryMesh(2), arbitraryShape, fc.nat(), (linked, shape, from) => {
        const layout = pick(allLayouts(shape, linked), from);
        for (const move of movesFrom(layout, shape, linked)) {
          kinds.add(move.kind);
          const reached = collectivesOf(move).reduce((at, { kind, axis, dim }) => {
            const result = COLLECTIVES[kind].result(at, axis, dim);
            if (typeof result === 'string') throw new Error(result);
            return result;
          }, layout);
          expect(sameSharding(reached, move.result)).toBe(true);
        }
      }),
    );
    expect([...kinds].sort()).toEqual(['all_gather', 'all_reduce', 'all_to_all', 'reduce_scatter', 'slice']);
  });

  it('cost what the links between neighbours of an axis allow', () => {
    const topology = makeMachine({ host: 1, peer: 50, nodes: 5, latency: 0.5 });
    const { stages } = makePlan({ stages: [{ name: 'serve', mesh: { dp: 2, pp: 2, tp: 2 } }] });
    const { links } = linkedMesh(topology, stages[0]!, routesOf(topology));
    expect(links.tp).toEqual({ bandwidth: 50, latency: 0.5 });
    expect(links.pp).toEqual({ bandwidth: 50, latency: 0.5 });
    // Replicas are on a node each.
    expect(links.dp.bandwidth).toBe(5);
    const alone = makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] });
    expect(linkedMesh(topology, alone.stages[0]!, routesOf(topology)).links.dp.bandwidth).toBe(Infinity);
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
