/**
 * Lowered graphs, executed: random models on random plans, prompts prefilled in chunks, their pages handed over, the
 * weights re-sharded, tokens decoded. Every step's logits must be those of the plain reference model.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import type { RuntimeGraph, RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import { parseRuntimeGraph, serialiseRuntimeGraph } from '../../compiler/ir/runtime-json.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { seededRandom, type Random } from '../fixtures/random.js';
import { memoryModel, type MemoryModel } from '../reference/memory-model.js';
import { interpretRuntime, type RuntimeInterpreter } from '../reference/runtime-interpreter.js';
import { arbitraryCase, planOf as optionsOf } from './support/arbitrary-plan.js';
import { arbitraryReshard } from './support/arbitrary-reshard.js';
import { FAMILY_PARTS } from './support/family-shapes.js';
import { halfResident } from './support/half-resident.js';
import { makePlan, type PlanOptions } from './support/make-plan.js';

const PAGE_TOKENS = 4;
const CONTEXT = 24;

interface Sequence {
  readonly tokens: readonly number[];
  readonly prompt: number;
  readonly logits: readonly Float64Array[];
  readonly replica: Readonly<Record<string, number>>;
  readonly pages: Readonly<Record<string, readonly number[]>>;
}

/** Largest difference of two vectors, relative to the larger magnitude of the second. */
function difference(a: Float64Array, b: Float64Array): number {
  expect(a.length).toBe(b.length);
  const scale = Math.max(...b.map(Math.abs));
  return Math.max(...a.map((value, index) => Math.abs(value - b[index]!))) / scale;
}

function planOf(options: PlanOptions): Plan {
  return makePlan({
    ...options,
    shape: { context: CONTEXT, ropeTheta: 100, ...options.shape },
    kv: { pageTokens: PAGE_TOKENS },
  });
}

/** Whether the sequences, of up to four pages each, have pages of their own. */
function hasPagesForAll(plan: Plan): boolean {
  return compilePlan(plan).runtime.pools.every((pool) => pool.pages >= 12);
}

/** Compiles, writes, reads back and runs a plan over three sequences. Returns the steps compared. */
function execute(plan: Plan, seed: number): number {
  const compiled = compilePlan(plan);
  expect(compiled.diagnostics).toEqual([]);
  const { graph, problems } = parseRuntimeGraph(JSON.parse(serialiseRuntimeGraph(compiled.runtime)));
  expect(problems).toBeUndefined();
  expect(graph).toEqual(compiled.runtime);

  const random = seededRandom(seed);
  const model = memoryModel(plan.model.shape, seed);
  const pick = (count: number): number => Math.floor(random.uniform() * count);
  const run = interpretRuntime(graph!, model.source, model.frequencies, pick);
  const [first, last] = [graph!.stages[0]!, graph!.stages.at(-1)!];
  const sequences = Array.from({ length: 3 }, (_, index) => makeSequence(graph!, model, random, index));
  let compared = 0;
  // Two rounds: the second goes through the transition back.
  for (const round of [sequences.slice(0, 2), sequences.slice(2)]) {
    run.enter(first.name);
    for (const sequence of round) compared += prefill(run, first, sequence);
    if (first !== last && graph!.kv.edges[0]!.path === 'tier') {
      for (const sequence of round) run.movePages(place(first, sequence), place(last, sequence));
    }
    run.enter(last.name);
    for (const sequence of round) compared += decode(run, last, sequence);
  }
  return compared;
}

function place(
  stage: RuntimeStage,
  sequence: Sequence,
): { readonly stage: string; readonly replica: number; readonly pages: readonly number[] } {
  return { stage: stage.name, replica: sequence.replica[stage.name]!, pages: sequence.pages[stage.pool]! };
}

/** Tokens at random, a replica per stage, and pages drawn from each pool without reuse. */
function makeSequence(graph: RuntimeGraph, model: MemoryModel, random: Random, index: number): Sequence {
  const { vocab } = graph.model.shape;
  const tokens = Array.from({ length: 14 }, () => Math.floor(random.uniform() * vocab));
  const perSequence = Math.ceil(tokens.length / PAGE_TOKENS);
  const pages = graph.pools.map((pool) => {
    const own = Array.from({ length: perSequence }, (_, page) => pool.pages - 1 - (index + 3 * page));
    return [pool.id, own] as const;
  });
  return {
    tokens,
    prompt: 7 + index * 2,
    logits: model.reference.forward(tokens),
    replica: Object.fromEntries(graph.stages.map((stage) => [stage.name, index % stage.mesh.dp])),
    pages: Object.fromEntries(pages),
  };
}

function prefill(run: RuntimeInterpreter, stage: RuntimeStage, sequence: Sequence): number {
  const { replica, pages } = place(stage, sequence);
  const middle = 4 + (sequence.prompt % 3);
  for (const [start, end] of [
    [0, middle],
    [middle, sequence.prompt],
  ] as const) {
    const [logits] = run.step(stage.name, replica, [
      { tokens: sequence.tokens.slice(start, end), start, pages },
    ]);
    expect(difference(logits!, sequence.logits[end - 1]!)).toBeLessThan(1e-9);
  }
  return 2;
}

function decode(run: RuntimeInterpreter, stage: RuntimeStage, sequence: Sequence): number {
  const { replica, pages } = place(stage, sequence);
  for (let at = sequence.prompt; at < sequence.tokens.length; at++) {
    const [logits] = run.step(stage.name, replica, [
      { tokens: sequence.tokens.slice(at, at + 1), start: at, pages },
    ]);
    expect(difference(logits!, sequence.logits[at]!)).toBeLessThan(1e-9);
  }
  return sequence.tokens.length - sequence.prompt;
}

describe('lowered graphs give the logits of the reference', () => {
  it.each<[string, PlanOptions]>([
    ['on one device', { stages: [{ name: 'serve', mesh: {} }] }],
    [
      'fused over a pipeline of tensor-parallel stages',
      { stages: [{ name: 'serve', mesh: { pp: 2, tp: 2 } }] },
    ],
    [
      'static, both stages on the same pages',
      {
        stages: [
          { name: 'prefill', mesh: { dp: 2, tp: 2 } },
          { name: 'decode', mesh: { dp: 2, tp: 2 } },
        ],
      },
    ],
    [
      'disaggregated',
      {
        stages: [
          { name: 'prefill', mesh: { pp: 2 }, devices: [0, 1] },
          { name: 'decode', mesh: { tp: 4 }, devices: [2, 3, 4, 5] },
        ],
      },
    ],
    [
      'with a vocabulary that tp does not divide, tied',
      { shape: { vocab: 13, tied: true }, stages: [{ name: 'serve', mesh: { tp: 4 } }] },
    ],
    [
      'with biases on partial sums',
      {
        shape: { qkvBias: true, outputBias: true, mlpBias: true },
        stages: [{ name: 'serve', mesh: { tp: 4 } }],
      },
    ],
    [
      'with replicated kv heads and q/k norms',
      { shape: { kvHeads: 2, qkNorm: true }, stages: [{ name: 'serve', mesh: { tp: 4 }, kvReplicas: 2 }] },
    ],
    [
      'with a whole vocabulary and an mlp replicated in some layers',
      {
        stages: [
          {
            name: 'serve',
            mesh: { tp: 2 },
            onTp: ['heads', 'kv_heads', 'ffn'],
            overrides: [{ firstLayer: 1, lastLayer: 2, part: 'mlp', onTp: ['heads', 'kv_heads'] }],
          },
        ],
      },
    ],
    ...Object.entries(FAMILY_PARTS).map(([family, shape]): [string, PlanOptions] => [
      `of family ${family}, re-sharded`,
      {
        shape: { ...shape, vocab: 13, tied: family.startsWith('gemma') },
        stages: [
          { name: 'prefill', mesh: { pp: 2 } },
          { name: 'decode', mesh: { tp: 2 } },
        ],
      },
    ]),
    [
      'with part of a head rotated',
      { shape: { headDim: 8, rotaryDim: 6, qkNorm: true }, stages: [{ name: 'serve', mesh: { tp: 2 } }] },
    ],
    [
      'with quantised weights, whose blocks move whole and may end with the row',
      {
        weights: 'int4',
        shape: { hidden: 40, heads: 8, kvHeads: 4, headDim: 16, ffn: 128, tied: true },
        stages: [
          { name: 'prefill', mesh: { pp: 2, tp: 2 } },
          { name: 'decode', mesh: { tp: 4 } },
        ],
      },
    ],
    [
      'with query heads split over whole kv heads, fewer than ranks',
      {
        shape: { kvHeads: 2, qkNorm: true, qkvBias: true },
        stages: [{ name: 'serve', mesh: { tp: 4 }, onTp: ['heads', 'ffn'] }],
      },
    ],
    [
      'with query heads split where kv heads are of two ranks',
      {
        shape: { heads: 6, kvHeads: 3 },
        stages: [{ name: 'serve', mesh: { tp: 2 }, onTp: ['heads', 'vocab'] }],
      },
    ],
    [
      'with kv heads split under whole query heads, a vocabulary too, and a layer that splits both',
      {
        shape: { qkNorm: true, outputBias: true, vocab: 13 },
        stages: [
          {
            name: 'serve',
            mesh: { pp: 2, tp: 4 },
            onTp: ['kv_heads', 'vocab'],
            overrides: [{ firstLayer: 1, lastLayer: 1, part: 'attention', onTp: ['heads', 'kv_heads'] }],
          },
        ],
      },
    ],
    [
      'with kv heads in copies under whole query heads, re-sharded to heads alone',
      {
        shape: { kvHeads: 2 },
        stages: [
          { name: 'prefill', mesh: { tp: 4 }, onTp: ['kv_heads'], kvReplicas: 2 },
          { name: 'decode', mesh: { dp: 2, tp: 2 }, onTp: ['heads', 'ffn', 'vocab'] },
        ],
      },
    ],
    ['with everything replicated over tp', { stages: [{ name: 'serve', mesh: { tp: 2 }, onTp: [] }] }],
  ])('%s', (_what, options) => {
    expect(execute(planOf(options), 7)).toBeGreaterThan(10);
  });

  it('re-sharded between random meshes', { timeout: 240_000 }, () => {
    fc.assert(
      fc.property(arbitraryReshard, fc.nat(), (options, seed) => {
        const plan = planOf(options);
        fc.pre(hasPagesForAll(plan));
        expect(execute(plan, seed)).toBeGreaterThan(10);
      }),
      { numRuns: 25 },
    );
  });

  it('re-sharded with some layers resident in both shardings', { timeout: 240_000 }, () => {
    let kept = 0;
    fc.assert(
      fc.property(arbitraryReshard, fc.nat(), (options, seed) => {
        const plan = halfResident(planOf(options));
        if (!plan || !hasPagesForAll(plan)) return;
        kept++;
        expect(execute(plan, seed)).toBeGreaterThan(10);
      }),
      { numRuns: 30, seed: 5 },
    );
    expect(kept).toBeGreaterThan(2);
  });

  it('whatever dimensions tp splits', { timeout: 240_000 }, () => {
    fc.assert(
      fc.property(arbitraryCase, fc.nat(), (drawn, seed) => {
        expect(execute(planOf(optionsOf(drawn)), seed)).toBeGreaterThan(10);
      }),
      { numRuns: 25 },
    );
  });

  it('with layer groups that keep every KV buffer under the binding limit', () => {
    const plan = makePlan({
      shape: { layers: 5, context: CONTEXT },
      stages: [{ name: 'serve', mesh: {} }],
      kv: { pageTokens: PAGE_TOKENS },
    });
    const limit = 20_000;
    const { runtime } = compilePlan(plan, { maxBindingBytes: limit });
    const [pool] = runtime.pools;
    const [rank] = pool!.ranks;
    expect(rank!.groups.length).toBeGreaterThan(1);
    const layerBytes = rank!.pageBytes / 5;
    for (const [start, end] of rank!.groups) {
      expect(pool!.pages * (end - start) * layerBytes).toBeLessThanOrEqual(limit);
    }
    const model = memoryModel(plan.model.shape, 3);
    const run = interpretRuntime(runtime, model.source, model.frequencies, (count) => count - 1);
    run.enter('serve');
    const tokens = [1, 5, 9, 2, 7, 3];
    const [logits] = run.step('serve', 0, [{ tokens, start: 0, pages: [1, 0] }]);
    expect(difference(logits!, model.reference.firstLogits(tokens))).toBeLessThan(1e-9);
  });
});
