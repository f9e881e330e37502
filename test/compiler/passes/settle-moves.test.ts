/**
 * What the transition graph says of moves, beside what the plan of every device's memory makes the executor do: for
 * random pairs of stages, all element types, and links that make devices send to each other or not.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { planDeviceWeights } from '../../../compiler/ir/device-weights.js';
import { deviceResidences, deviceTransitions, residencesOf } from '../../../compiler/ir/residences.js';
import { movesOfDevice } from '../../../compiler/ir/runtime-graph.js';
import type { WeightMove, WeightReshard } from '../../../compiler/ir/transitions.js';
import { writtenBytes } from '../../../compiler/ir/written-bytes.js';
import type { WeightType } from '../../../compiler/model/weight-types.js';
import { isQuantised, WEIGHT_TYPES } from '../../../compiler/model/weight-types.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { clockTransition } from '../../../runtime/clock/weights.js';
import { arbitraryReshard, meshesOf } from '../support/arbitrary-reshard.js';
import { halfResident } from '../support/half-resident.js';
import { makePlan } from '../support/make-plan.js';
import { moveContext } from '../../runtime/support/move-context.js';
import { movesOf } from '../support/reshard-moves.js';

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}

/** Compares every transition of a plan; answers what all of them bring beside the lower bounds. */
function compare(plan: Plan): { readonly brought: number; readonly bound: number } {
  const { runtime, transitions, diagnostics } = compilePlan(plan);
  expect(diagnostics.filter(({ code }) => code === 'FC0513')).toEqual([]);
  const residences = residencesOf(runtime);
  const reshardOf = (from: string, to: string): WeightReshard =>
    transitions.weights.find((reshard) => reshard.from === from && reshard.to === to)!;
  expect(transitions.weights).toHaveLength(runtime.transitions.length);
  for (const { id, peak } of runtime.devices) {
    const pairs = deviceTransitions(runtime, residences, id);
    const planned = planDeviceWeights(deviceResidences(runtime, residences, id), pairs);
    // The compiler places weights before it knows who sends what, the executor with all moves.
    if (pairs.size > 0) expect(peak.weights).toBe(planned.bytes);
    for (const [pair, moves] of pairs) {
      const [from, to] = pair.split('->') as [string, string];
      const writes = planned.orders.get(moves)!.moves.filter(({ kind }) => kind === 'write');
      const brought = sum(writes.map(({ job: { what } }) => writtenBytes(what.weight, what.pieces)));
      const copies = writes.flatMap(({ job }) => job.what.copies);
      const predicted = (...kinds: readonly WeightMove['kind'][]): number =>
        sum(
          movesOf(reshardOf(from, to))
            .filter((move) => move.device === id && kinds.includes(move.kind))
            .map(({ bytes }) => bytes),
        );
      expect(predicted('upload', 'peer')).toBe(brought);
      expect(predicted('copy')).toBe(sum(copies.map(({ runBytes, rows }) => runBytes * rows)));
      expect(moves.uploadBytes).toBe(predicted('upload'));
      expect(moves.receiveBytes ?? 0).toBe(predicted('peer'));
    }
  }
  for (const transition of runtime.transitions) {
    const { bytes, cost } = reshardOf(transition.from, transition.to);
    const each = transition.devices.map(({ device }) => movesOfDevice(transition, device)!);
    expect(bytes.upload).toBe(sum(each.map(({ uploadBytes }) => uploadBytes)));
    expect(bytes.peer).toBe(sum(each.map(({ receiveBytes = 0 }) => receiveBytes)));
    const context = moveContext(plan.topology);
    expect(clockTransition(runtime, plan, transition, context).bytes).toBe(bytes.upload + bytes.peer);
    // Every link of these machines is one hop.
    expect(cost.linkBytes).toBe(bytes.upload + bytes.peer);
    expect(cost.boundSeconds).toBeLessThanOrEqual(cost.seconds * (1 + 1e-12));
  }
  return {
    brought: sum(transitions.weights.map(({ bytes }) => bytes.upload + bytes.peer)),
    bound: sum(transitions.weights.map(({ lowerBound }) => lowerBound)),
  };
}

const arbitraryPeers = fc.constantFrom(1e9, 50e9);

describe('settled moves', () => {
  it('are those that the executor makes, and in whole words the least that can be', () => {
    fc.assert(
      fc.property(arbitraryReshard, arbitraryPeers, (options, peerBandwidth) => {
        const { brought, bound } = compare({
          ...makePlan({ ...options, peerBandwidth }),
          residence: 'switch',
        });
        if (options.weights === 'f32') expect(brought).toBe(bound);
        else expect(brought).toBeGreaterThanOrEqual(bound);
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  it('are so for quantised weights, of plans and of files', () => {
    const types = WEIGHT_TYPES.filter((type): type is WeightType => isQuantised(type));
    const meshes = [1, 2, 4].flatMap(meshesOf);
    const arbitraryMesh = fc.constantFrom(...meshes.filter(({ pp, tp }) => pp <= 4 && tp <= 4));
    const drawn = fc.tuple(fc.constantFrom(...types), arbitraryMesh, arbitraryMesh, arbitraryPeers);
    fc.assert(
      fc.property(drawn, fc.boolean(), ([weights, prefill, decode, peerBandwidth], tied) => {
        const plan = makePlan({
          // The columns of four ranks are whole blocks of any type.
          shape: { hidden: 40, heads: 16, kvHeads: 4, headDim: 128, ffn: 2048, vocab: 61, tied },
          weights,
          peerBandwidth,
          stages: [
            { name: 'prefill', mesh: prefill },
            { name: 'decode', mesh: decode },
          ],
        });
        const { brought, bound } = compare({ ...plan, residence: 'switch' });
        expect(brought).toBe(bound);
      }),
      { numRuns: 25 },
    );
  }, 120_000);

  it('are so where a third stage takes its turn', () => {
    const meshes = meshesOf(4).filter(({ pp }) => pp <= 2);
    const order = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
    const drawn = fc.tuple(
      fc.constantFrom<WeightType>('f32', 'bf16'),
      fc.integer({ min: 5, max: 9 }),
      fc.shuffledSubarray([...meshes], { minLength: 3, maxLength: 3 }),
      fc.tuple(order, order, order),
    );
    fc.assert(
      fc.property(drawn, ([weights, hidden, three, orders]) => {
        const plan = makePlan({
          shape: { layers: 3, hidden, heads: 4, kvHeads: 4, headDim: 2, ffn: 24, vocab: 13 },
          weights,
          peerBandwidth: 50e9,
          stages: three.map((mesh, index) => ({
            name: ['prefill', 'decode', 'late'][index]!,
            phases: [index === 0 ? 'prefill' : 'decode'],
            mesh,
            devices: orders[index]!,
          })),
        });
        const { brought, bound } = compare({ ...plan, residence: 'switch' });
        if (weights === 'f32') expect(brought).toBe(bound);
        else expect(brought).toBeGreaterThanOrEqual(bound);
      }),
      { numRuns: 15 },
    );
  }, 120_000);

  it('are so where two of three stages hold the same', () => {
    for (const alike of [
      [0, 1],
      [0, 2],
      [1, 2],
    ]) {
      const plan = makePlan({
        weights: 'bf16',
        peerBandwidth: 50e9,
        stages: ['prefill', 'decode', 'late'].map((name, index) => ({
          name,
          phases: [index === 0 ? 'prefill' : 'decode'],
          mesh: alike.includes(index) ? { pp: 2, tp: 2 } : { tp: 4 },
        })),
      });
      const { brought, bound } = compare({ ...plan, residence: 'switch' });
      expect(brought).toBeGreaterThanOrEqual(bound);
    }
  });

  it('are so where some layers stay in both shardings', () => {
    for (const peerBandwidth of [1e9, 50e9]) {
      const plan = halfResident(
        makePlan({
          peerBandwidth,
          shape: { layers: 8, context: 32 },
          stages: [
            { name: 'prefill', mesh: { pp: 4 } },
            { name: 'decode', mesh: { tp: 4 } },
          ],
        }),
      );
      if (plan === undefined) throw new Error('no memory makes some of the layers stay');
      const { brought, bound } = compare(plan);
      expect(brought).toBe(bound);
    }
  });
});
