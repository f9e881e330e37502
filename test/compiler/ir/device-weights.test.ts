/** What the weights of a device need that changes between residences. */
import { describe, expect, it } from 'vitest';
import { largestWeight, planDeviceWeights, ringSizes } from '../../../compiler/ir/device-weights.js';
import type { DeviceMoves, RuntimeWeight, WeightCopy } from '../../../compiler/ir/runtime-graph.js';

const BYTES = 4096;

function weight(id: string, tensor: string): RuntimeWeight {
  const cols = BYTES / 4;
  const piece = { tensor, rows: [0, 1], cols: [0, cols], at: [0, 0] } as const;
  return { id, dtype: 'f32', rows: 1, cols, pieces: [piece], bytes: BYTES };
}

/** The second half of every new weight is the first half of the old one after it, round about. */
function turning(count: number): DeviceMoves {
  const copy = Array.from({ length: count }, (_, i): WeightCopy => ({
    weight: `b${i}`,
    at: BYTES / 2,
    stride: BYTES,
    old: `a${(i + 1) % count}`,
    oldAt: 0,
    oldStride: BYTES,
    runBytes: BYTES / 2,
    rows: 1,
  }));
  return { keep: [], copy, upload: [], evict: [], uploadBytes: 0 };
}

describe('weights of a device that changes between residences', () => {
  const residences = (count: number) =>
    ['a', 'b'].map((name) => ({
      name,
      weights: Array.from({ length: count }, (_, i) => weight(`${name}${i}`, `${name}${i}`)),
    }));

  it('need room for the arena, for what is set aside at a time, and for the ring', () => {
    for (const count of [2, 5]) {
      const moves = turning(count);
      const plan = planDeviceWeights(residences(count), new Map([['a->b', moves]]));
      const arena = plan.arena.bufferBytes.reduce((sum, bytes) => sum + bytes, 0);
      const { moves: order, stashAt } = plan.orders.get(moves)!;
      const live = new Map<unknown, number>();
      let aside = 0;
      for (const { kind, job } of order) {
        if (kind === 'write') {
          live.delete(job);
          continue;
        }
        const start = stashAt.get(job)!;
        for (const other of live.values()) expect(Math.abs(other - start)).toBeGreaterThanOrEqual(BYTES / 2);
        live.set(job, start);
        aside = Math.max(aside, start + BYTES / 2);
      }
      expect(plan.stashBytes).toBe(aside);
      expect(plan.bytes).toBe(arena + aside + ringSizes(largestWeight(residences(count))).bytes);
    }
  });

  it('need no ring where nothing ever moves', () => {
    const plan = planDeviceWeights(residences(2).slice(0, 1), new Map());
    expect(plan.bytes).toBe(2 * BYTES);
    expect(plan.stashBytes).toBe(0);
  });
});
