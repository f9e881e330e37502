/** The compiler of searches: what it does not work out again is what it would work out. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { compilePlan, createPlanCompiler } from '../../compiler/compile.js';
import type { CheckedExpectation, Mesh } from '../../compiler/plan/plan.js';
import type { WeightType } from '../../compiler/model/weight-types.js';
import { candidateLabel, candidatePlan, findCandidates } from '../../compiler/planner/candidates.js';
import { machine, planOn } from '../runtime/tune/machines.js';
import { lowerMoves } from '../../compiler/passes/lower-moves.js';
import { halfResident } from './support/half-resident.js';
import { makePlan, type PlanOptions } from './support/make-plan.js';

vi.mock('../../compiler/passes/lower-moves.js', { spy: true });

/** Stages in turns, with peers that send and without, weights of all sizes of elements, and parts that are no whole words. */
const reshards: fc.Arbitrary<PlanOptions> = fc
  .record({
    meshes: fc.constantFrom<readonly Partial<Mesh>[]>(
      [{ pp: 4 }, { tp: 4 }],
      [{ pp: 4 }, { pp: 2, tp: 2 }],
      [{ pp: 2, tp: 2 }, { tp: 4 }],
      [
        { dp: 2, pp: 2 },
        { dp: 2, tp: 2 },
      ],
      [{ tp: 4 }, { pp: 2, tp: 2 }],
    ),
    weights: fc.constantFrom<WeightType>('f32', 'bf16', 'int8', 'int4'),
    layers: fc.integer({ min: 4, max: 9 }),
    hidden: fc.constantFrom(64, 72, 128),
    ffn: fc.constantFrom(64, 132, 256),
    vocab: fc.constantFrom(64, 68),
    tied: fc.boolean(),
    peerBandwidth: fc.constantFrom(1e8, 1e11),
  })
  .map(({ meshes, weights, peerBandwidth, ...shape }) => ({
    shape: { ...shape, context: 32 },
    weights,
    peerBandwidth,
    stages: meshes.map((mesh, index) => ({ name: ['prefill', 'decode'][index]!, mesh })),
  }));

describe('createPlanCompiler', () => {
  it('makes the same graphs as compiling each plan by itself', () => {
    fc.assert(
      fc.property(machine, fc.integer({ min: 0, max: 6 }), (made, rest) => {
        const plan = planOn(made);
        const sizes = { microbatchTokens: [16, 64], batchRequests: [2, 8], hostKvBytes: [1e5, 1e9] };
        const candidates = findCandidates(plan, ['fused', 're-sharded', 'disaggregated'], sizes);
        const compile = createPlanCompiler();
        for (const candidate of candidates.filter((_, i) => i % 7 === rest)) {
          const each = candidatePlan(candidate);
          const [shared, alone] = [compile(each), compilePlan(each)];
          expect(shared.runtime(), candidateLabel(candidate)).toEqual(alone.runtime);
          expect(shared.diagnostics).toEqual(alone.diagnostics);
        }
      }),
      { numRuns: 3 },
    );
  });

  it('knows the memory of a plan before its moves are lowered, to the page', () => {
    let foreseen = 0;
    fc.assert(
      fc.property(reshards, (options) => {
        const plan = makePlan(options);
        // Finding memory for half of the layers takes many compiles.
        const half = plan.model.shape.layers === 4 ? halfResident(plan) : undefined;
        for (const each of [{ ...plan, residence: 'switch' as const }, ...(half ? [half] : [])]) {
          vi.clearAllMocks();
          const early = createPlanCompiler()(each);
          if (early.transitions.length > 0 && vi.mocked(lowerMoves).mock.calls.length === 0) foreseen++;
          const { runtime, diagnostics } = compilePlan(each);
          expect(early.pools).toEqual(runtime.pools);
          expect(early.transitions).toMatchObject(runtime.transitions.map(({ from, to }) => ({ from, to })));
          expect(early.diagnostics).toEqual(diagnostics);
          expect(early.runtime()).toEqual(runtime);
        }
      }),
      { numRuns: 10 },
    );
    expect(foreseen).toBeGreaterThan(0);
  });

  it('judges what a plan expects of transitions by the bytes that they move', () => {
    const plan = makePlan({
      shape: { layers: 4 },
      stages: [
        { name: 'prefill', mesh: { pp: 2, tp: 1 } },
        { name: 'decode', mesh: { tp: 2 } },
      ],
    });
    const moving = { ...plan, residence: 'switch' as const };
    const { bytes } = compilePlan(moving).transitions.weights.find(({ to }) => to === 'decode')!;
    const expected = (limit: number): CheckedExpectation => ({
      kind: 'bound',
      measure: 'bytes',
      edge: { from: 'prefill', to: 'decode' },
      per: 'transition',
      op: '==',
      limit,
      origin: plan.origin,
    });
    const compile = createPlanCompiler();
    const found = (limit: number): number =>
      compile({ ...moving, expectations: [expected(limit)] }).diagnostics.length;
    // Also after the same moves were lowered for a plan that expects nothing.
    expect(compile(moving).diagnostics).toEqual([]);
    expect(bytes.upload + bytes.peer).toBeGreaterThan(0);
    expect(found(bytes.upload + bytes.peer)).toBe(0);
    expect(found(bytes.upload + bytes.peer + 1)).toBe(1);
  });
});
