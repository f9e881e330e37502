/** What a transition writes, and behind what: as the executor finds it with the places of all weights. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { planDeviceWeights } from '../../../compiler/ir/device-weights.js';
import { deviceResidences, deviceTransitions, residencesOf } from '../../../compiler/ir/residences.js';
import { movesOfDevice } from '../../../compiler/ir/runtime-graph.js';
import { lastReads } from '../../../compiler/ir/weight-writes.js';
import { overlaps } from '../../../compiler/ir/weight-arena.js';
import type { Mesh } from '../../../compiler/plan/plan.js';
import { makePlan } from '../support/make-plan.js';

const SHAPE = { layers: 8, hidden: 32, heads: 8, kvHeads: 4, headDim: 8, ffn: 48, vocab: 64 };

describe('weights that a transition writes', () => {
  it.each<[string, Partial<Mesh>, Partial<Mesh>, boolean]>([
    ['a pipeline and tp ranks', { pp: 4 }, { tp: 4 }, false],
    ['a pipeline and tp ranks with one embedding for both ends', { pp: 4 }, { tp: 4 }, true],
    ['a pipeline of tp ranks and tp ranks', { pp: 2, tp: 2 }, { tp: 4 }, false],
    ['tp ranks and two pipelines', { tp: 4 }, { dp: 2, pp: 2 }, true],
  ])('wait for the last op that reads what lies in their place: %s', (_name, prefill, decode, tied) => {
    const { runtime } = compilePlan(
      makePlan({
        shape: { ...SHAPE, tied },
        stages: [
          { name: 'prefill', mesh: prefill, microbatchTokens: 64 },
          { name: 'decode', mesh: decode, batchRequests: 8 },
        ],
      }),
    );
    const residences = residencesOf(runtime);
    let waiting = 0;
    for (const transition of runtime.transitions) {
      const from = runtime.stages.find(({ name }) => name === transition.from)!;
      for (const { device } of transition.devices) {
        const moves = movesOfDevice(transition, device)!;
        const { arena, orders } = planDeviceWeights(
          deviceResidences(runtime, residences, device),
          deviceTransitions(runtime, residences, device),
        );
        const order = orders.get(moves)!.moves.filter(({ kind }) => kind === 'write');
        const writes = moves.writes ?? [];
        expect(writes.map(({ weight }) => weight)).toEqual(order.map(({ job }) => job.what.weight.id));
        const [before, after] = [transition.from, transition.to].map((stage) => arena.spots.get(stage)!);
        const reads = lastReads(
          from.programs[from.ranks.find((rank) => rank.device === device)!.program]!.ops,
        );
        for (const { weight, behind } of writes) {
          const place = after!.get(weight)!;
          const there = [...before!].filter(([id, spot]) => reads.has(id) && overlaps(spot, place));
          const last = Math.max(-1, ...there.map(([id]) => reads.get(id)!));
          expect(behind === undefined ? -1 : reads.get(behind)).toBe(last);
          if (behind !== undefined) waiting++;
        }
      }
    }
    expect(waiting).toBeGreaterThan(20);
  });
});

describe('the last op that reads a weight', () => {
  it('is the last of those that do, by the name that the weight is given', () => {
    const { runtime } = compilePlan(
      makePlan({ shape: { ...SHAPE, tied: true }, stages: [{ name: 'serve', mesh: {} }] }),
    );
    const { ops } = runtime.stages[0]!.programs[0]!;
    const reads = lastReads(ops, new Map([['embed', 'serve.embed']]));
    for (const [weight, last] of reads) {
      const plain = weight.replace(/^serve\./, '');
      const readers = ops.filter(
        (op) => op.op === 'kernel' && op.operands.some((each) => 'weight' in each && each.weight === plain),
      );
      expect(readers.at(-1)!.id).toBe(last);
    }
    expect(reads.has('embed')).toBe(false);
    expect(reads.get('serve.embed')).toBeGreaterThan(0.9 * ops.length);
  });
});
