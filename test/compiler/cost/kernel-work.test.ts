/** Work of kernels against counts made by hand and against published ones. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { kernelWork, seenBy, tiledRows, type StepSize } from '../../../compiler/cost/kernel-work.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import type { KernelOp } from '../../../compiler/ir/runtime-program.js';
import { makePlan, originAt } from '../support/make-plan.js';

const LLAMA2_70B = {
  layers: 80,
  hidden: 8192,
  heads: 64,
  kvHeads: 8,
  headDim: 128,
  ffn: 28672,
  vocab: 32000,
  context: 4096,
};

/** One prompt of so many tokens, computed at once. */
const prompt = (tokens: number): StepSize => ({
  tokens,
  samples: 1,
  pairs: (tokens * (tokens + 1)) / 2,
  keys: tokens,
});

function kernels(graph: RuntimeGraph): readonly KernelOp[] {
  return graph.stages[0]!.programs.flatMap(({ ops }) => ops).filter(
    (op): op is KernelOp => op.op === 'kernel',
  );
}

function total(ops: readonly KernelOp[], kind: string, size: StepSize, what: 'flops' | 'bytes'): number {
  return ops
    .map((op) => kernelWork(op, size))
    .filter((work) => work.kind === kind)
    .reduce((sum, work) => sum + work[what], 0);
}

it('counts what Llama 2 70B is known to compute per token', () => {
  const plan = makePlan({
    shape: LLAMA2_70B,
    weights: 'f16',
    deviceMemory: 400e9,
    stages: [{ name: 'serve', mesh: {}, microbatchTokens: 4096 }],
  });
  const ops = kernels(compilePlan(plan).runtime).filter((op) => op.layer !== undefined);
  const size = prompt(2600);
  // 855.6 M weights in a layer; published: 136.9 GFLOP linear, 3.4 GFLOP attention at a prompt of 2.6 k.
  expect(total(ops, 'gemm', size, 'flops') / 2600 / 1e9).toBeCloseTo(136.9, 1);
  expect(total(ops, 'attention', size, 'flops') / 2600 / 1e9).toBeCloseTo(3.4, 1);
});

it('reads weights once a step and keys once a sequence', () => {
  const matmul: KernelOp = {
    id: 0,
    after: [],
    op: 'kernel',
    kernel: 'matmul',
    params: { n: 30, k: 20, bias: 0 },
    rows: 'tokens',
    operands: [],
    dtype: 'f16',
    origin: originAt(),
  };
  const size: StepSize = { tokens: 7, samples: 2, pairs: 100, keys: 50 };
  expect(kernelWork(matmul, size)).toEqual({
    kind: 'gemm',
    flops: 2 * 7 * 30 * 20,
    bytes: 30 * 20 * 2 + 7 * (30 + 20) * 4,
  });
  const attention: KernelOp = {
    ...matmul,
    kernel: 'attention',
    params: { heads: 8, kvHeads: 2, headDim: 16, pageTokens: 16, layer: 0, groupLayers: 1, scale: 0.25 },
  };
  expect(kernelWork(attention, size)).toEqual({
    kind: 'attention',
    flops: 4 * 100 * 8 * 16,
    bytes: 50 * 2 * 2 * 16 * 2 + 2 * 7 * 8 * 16 * 4,
  });
  // The pages have the kv heads of all ranks' query heads; the rank's eight of 32 read one of the two.
  const sharing = { ...attention, params: { ...attention.params, pageHeads: 32 } };
  expect(kernelWork(sharing, size).bytes).toBe(50 * 2 * 1 * 16 * 2 + 2 * 7 * 8 * 16 * 4);
  // A step in which rows pass the window: layers that have it see less.
  const windowed = { ...attention, params: { ...attention.params, window: 5 } };
  const passing: StepSize = { ...size, inWindow: { pairs: 35, keys: 20 } };
  expect(kernelWork(attention, passing)).toEqual(kernelWork(attention, size));
  expect(kernelWork(windowed, size)).toEqual(kernelWork(attention, size));
  expect(kernelWork(windowed, passing)).toEqual({
    kind: 'attention',
    flops: 4 * 35 * 8 * 16,
    bytes: 20 * 2 * 2 * 16 * 2 + 2 * 7 * 8 * 16 * 4,
  });
  const tiled = { ...size, inTiles: { 4: { rows: 8, pairs: 120 } } };
  expect(kernelWork(attention, tiled, 4).flops).toBe(4 * 120 * 8 * 16);
  const inWindow = { pairs: 35, keys: 20, inTiles: { 4: { rows: 8, pairs: 64 } } };
  expect(kernelWork(windowed, { ...tiled, inWindow }, 4)).toEqual({
    ...kernelWork(windowed, passing),
    flops: 4 * 64 * 8 * 16,
  });
  expect(kernelWork(attention, tiled)).toEqual(kernelWork(attention, size));
  expect(kernelWork(attention, { ...tiled, singleRows: true }, 4)).toEqual(kernelWork(attention, size));
});

it('computes tiles of rows whole, with what they see of a window', () => {
  fc.assert(
    fc.property(
      fc.nat(50),
      fc.integer({ min: 1, max: 60 }),
      fc.constantFrom(1, 4, 16),
      fc.constantFrom(1, 7, 24, 1000, undefined),
      (start, count, tile, window) => {
        let [rows, pairs] = [0, 0];
        for (let first = 0; first < count; first += tile) {
          const end = start + Math.min(count, first + tile);
          rows += tile;
          pairs += tile * (end - Math.max(0, start + first + 1 - (window ?? Infinity)));
        }
        expect(tiledRows(start, count, tile, window)).toEqual({ rows, pairs });
      },
    ),
  );
});

it('counts what rows see of a window, and what they read of it together', () => {
  fc.assert(
    fc.property(
      fc.nat(50),
      fc.integer({ min: 1, max: 60 }),
      fc.constantFrom(1, 7, 24, 1000, undefined),
      (start, count, drawn) => {
        const window = drawn ?? Infinity;
        let pairs = 0;
        for (let row = start; row < start + count; row++) pairs += Math.min(row + 1, window);
        const keys = start + count - Math.max(0, start + 1 - window);
        expect(seenBy(start, count, drawn)).toEqual({ pairs, keys });
      },
    ),
  );
});
