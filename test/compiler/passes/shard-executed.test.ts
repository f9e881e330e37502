/**
 * Sharded graphs are executed: every value of every layer, put together from the parts of all ranks, must be the
 * logical graph's value, over a prefill in two chunks and a decode step. The logical graph itself is held against the
 * independent reference model.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyLogical } from '../../../compiler/ir/verify-logical.js';
import { verifySharded } from '../../../compiler/ir/verify-sharded.js';
import type { LogicalGraph, LogicalValue } from '../../../compiler/ir/logical.js';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { buildLogical } from '../../../compiler/passes/build-logical.js';
import { shardPlan } from '../../../compiler/passes/shard.js';
import { seededRandom } from '../../fixtures/random.js';
import { referenceConfigOf } from '../../reference/memory-model.js';
import { argmax, referenceFromTensors } from '../../reference/model.js';
import { arbitraryCase, planOf } from '../support/arbitrary-plan.js';
import { FAMILY_PARTS } from '../support/family-shapes.js';
import { makeModel, makePlan } from '../support/make-plan.js';
import {
  assemble,
  interpreter,
  logicalStage,
  type Step,
  type Weights,
} from '../support/sharded-interpreter.js';

/** Random weights for every tensor that a graph names; norms around one so that values keep their size. */
function randomWeights(logical: LogicalGraph, seed: number): Weights {
  const random = seededRandom(seed);
  const made = new Map<string, Float64Array>();
  const lengths = new Map<string, number>();
  for (const block of logical.blocks) {
    for (const value of block.values.filter((candidate) => candidate.tensor)) {
      for (let layer = 0; layer < block.repeat; layer++) {
        const name = value.tensor!.replace('{layer}', `${layer}`);
        lengths.set(name, Math.max(lengths.get(name) ?? 0, lastElement(value)));
      }
    }
  }
  for (const [name, length] of lengths) {
    const gain = name.includes('norm') ? 1 : 0;
    made.set(
      name,
      Float64Array.from({ length }, () => gain + 0.5 * random.normal()),
    );
  }
  return (name) => made.get(name)!;
}

/** One past the last element of its tensor that a weight has: it may be a run of rows of it. */
function lastElement({ type, firstRow = 0 }: LogicalValue): number {
  const size = type.dims.reduce((product, dim) => product * dim.size!, 1);
  return firstRow * type.dims.at(-1)!.size! + size;
}

/** Per replica two sequences, prefilled in two chunks, then one decode step; the last row of each is sampled. */
function steps(dp: number, vocab: number, seed: number): readonly Step[] {
  const random = seededRandom(seed);
  const spans = [
    [0, 3, 0, 2],
    [3, 5, 2, 3],
    [5, 6, 3, 4],
  ] as const;
  return spans.map(([from, to, from2, to2]) => ({
    replicas: Array.from({ length: dp }, (_, replica) => {
      const run = (sequence: number, start: number, end: number): Step['replicas'][number]['rows'] =>
        Array.from({ length: end - start }, (_unused, i) => ({
          token: random.below(vocab),
          sequence,
          position: start + i,
        }));
      const first = run(2 * replica, from, to);
      const second = run(2 * replica + 1, from2, to2);
      return { rows: [...first, ...second], samples: [first.length - 1, first.length + second.length - 1] };
    }),
  }));
}

/** The same step as one replica would see it. */
function merged(step: Step): Step {
  const rows = step.replicas.flatMap((replica) => replica.rows);
  let before = 0;
  const samples = step.replicas.flatMap((replica) => {
    const base = before;
    before += replica.rows.length;
    return replica.samples.map((sample) => base + sample);
  });
  return { replicas: [{ rows, samples }] };
}

function distance(a: Float64Array, b: Float64Array): number {
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!) / (1 + Math.abs(b[i]!))), 0);
}

describe('executed sharded graphs', () => {
  it('give the values of the logical graph, whatever the sharding', () => {
    const seen = new Set<string>();
    let compared = 0;
    fc.assert(
      fc.property(arbitraryCase, fc.integer({ min: 1, max: 1e6 }), (drawn, seed) => {
        const plan = makePlan(planOf(drawn));
        const logical = buildLogical(plan.model);
        const { graph, diagnostics } = shardPlan(logical, plan);
        expect(diagnostics).toEqual([]);
        expect(verifyLogical(logical)).toEqual([]);
        expect(verifySharded(graph, logical)).toEqual([]);
        const stage = graph.stages[0]!;
        const weights = randomWeights(logical, seed);
        const single = logicalStage(logical);
        const sharded = interpreter(stage, drawn.shape, weights);
        const whole = interpreter(single, drawn.shape, weights);
        for (const step of steps(stage.mesh.dp, drawn.shape.vocab, seed)) {
          let worst = 0;
          const actual = sharded.run(step);
          const expected = whole.run(merged(step));
          for (const [name, placed] of expected) {
            const value = assemble(actual.get(name)!, stage);
            const truth = assemble(placed, single);
            const sizes = (dims: typeof value.dims): string => dims.map((dim) => dim.size).join();
            if (sizes(value.dims) !== sizes(truth.dims)) expect(value.dims, name).toEqual(truth.dims);
            worst = Math.max(worst, distance(value.data, truth.data));
            compared++;
          }
          expect(worst).toBeLessThan(1e-9);
          for (const layers of stage.layers) {
            for (const op of layers.block.ops) if ('axis' in op) seen.add(op.kind);
          }
        }
      }),
      { numRuns: 100, seed: 20240 },
    );
    expect(compared).toBeGreaterThan(10_000);
    expect([...seen].sort()).toEqual(['all_gather', 'all_reduce', 'slice']);
  }, 120_000);

  it.each([
    ['llama', { tied: true, outputBias: true, mlpBias: true, qkvBias: true }],
    ['mistral', {}],
    ['qwen2', { qkvBias: true }],
    ['qwen3', { qkNorm: true }],
    ['mistral', FAMILY_PARTS['mistral']!],
    ['gemma2', { ...FAMILY_PARTS['gemma2']!, tied: true }],
    ['gemma3', FAMILY_PARTS['gemma3']!],
    ['phi3', { ...FAMILY_PARTS['phi3']!, rotaryDim: 6 }],
  ] as const)(
    'the logical graph of %s computes what the reference computes',
    (family, features: Partial<ModelShape>) => {
      const model = makeModel({ shape: { ...features, family, layers: 3 } });
      const logical = buildLogical(model);
      const weights = randomWeights(logical, 5);
      const reference = referenceFromTensors(referenceConfigOf(model.shape), tensorsOf(logical, weights));
      const stage = logicalStage(logical);
      const random = seededRandom(9);
      const ids = Array.from({ length: 12 }, () => random.below(model.shape.vocab));
      const rows = ids.map((token, position) => ({ token, sequence: 0, position }));
      const found = interpreter(stage, model.shape, weights).run({ replicas: [{ rows, samples: [11] }] });
      const last = features.logitSoftcap === undefined ? 'logits' : 'capped';
      const logits = assemble(found.get(`head.${last}`)!, stage).data;
      const expected = reference.firstLogits(ids);
      expect(distance(logits, expected)).toBeLessThan(1e-9);
      expect([...assemble(found.get('head.sampled')!, stage).data]).toEqual([argmax(expected)]);
    },
  );
});

/** Tensors in checkpoint shape: the named dimensions of a matrix flattened to rows and columns. */
function tensorsOf(logical: LogicalGraph, weights: Weights): Parameters<typeof referenceFromTensors>[1] {
  const { shape } = logical;
  const shapes = new Map<string, readonly number[]>();
  for (const block of logical.blocks) {
    for (const value of block.values.filter((candidate) => candidate.tensor)) {
      const hiddenFirst = value.type.dims[0]!.name === 'hidden';
      const total = lastElement(value);
      const rows = hiddenFirst ? shape.hidden : total / shape.hidden;
      const vector = value.tensor!.endsWith('.bias') || value.tensor!.includes('norm');
      shapes.set(value.tensor!, vector ? [total] : [rows, total / rows]);
    }
  }
  return (name) => {
    const known = shapes.get(name.replace(/layers\.\d+/, 'layers.{layer}'));
    return known && { shape: known, values: weights(name) };
  };
}
