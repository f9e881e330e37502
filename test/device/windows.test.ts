/**
 * A model whose layers all see a window, with prompts and answers several times as long: pages that fell behind the window
 * are given up and used by others, over pipelines and tensor-parallel ranks, through all tiers, and the answers are those
 * of the f64 reference.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { makePlan } from '../compiler/support/make-plan.js';
import type { StageOptions } from '../compiler/support/make-plan.js';
import { writeRandomModel } from '../fixtures/random-model.js';
import { seededRandom } from '../fixtures/random.js';
import { referenceModel } from '../reference/model.js';
import { expectReferenceAnswers } from './support/clerk.js';
import { shapeOf } from './support/shape.js';

const root = mkdtempSync(join(tmpdir(), 'fulcrum-windows-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const NEW_TOKENS = 40;
const directory = writeRandomModel(join(root, 'model'), {
  layers: 3,
  hidden: 32,
  heads: 4,
  kvHeads: 2,
  ffn: 48,
  vocab: 200,
  context: 128,
  seed: 5,
  family: 'mistral',
  config: { sliding_window: 11 },
});
const random = seededRandom(31);
const tokens = (length: number): number[] => Array.from({ length }, () => random.below(200));
const reference = referenceModel(directory);
/** The last two begin alike, for longer than the window. */
const common = tokens(37);
const expected = [
  ...[3, 11, 30, 52, 85].map(tokens),
  ...[16, 24].map((length) => [...common, ...tokens(length)]),
].map((prompt) => ({ prompt, steps: reference.greedySteps(prompt, NEW_TOKENS, [1]) }));

const steps = { microbatchTokens: 16, batchRequests: 6 };

/** A graph with so many pages in pools and tiers; a window lies in four pages at most. */
function graphOf(
  stages: readonly StageOptions[],
  pages: { readonly device: number; readonly host: number; readonly disk: number },
): RuntimeGraph {
  const { runtime, diagnostics } = compilePlan(
    makePlan({ shape: shapeOf(directory), stages, kv: { pageTokens: 4 } }),
  );
  expect(diagnostics).toEqual([]);
  return {
    ...runtime,
    // Loading always pays: what is moved must not depend on how fast this machine is at the moment.
    kv: { ...runtime.kv, costs: { prefillToken: 1, hostPage: 0, diskPage: 0 } },
    pools: runtime.pools.map((pool) => ({ ...pool, pages: pages.device })),
    hostTier: { ...runtime.hostTier!, pages: pages.host },
    diskTier: { name: 'nvme', directory: root, pages: pages.disk },
  };
}

describe('sequences longer than the window of all layers', () => {
  it('go through fewer pages than the longest has on tensor-parallel ranks, preempted and brought back', async () => {
    const stages = [{ name: 'serve', mesh: { tp: 2 }, ...steps, microbatchTokens: 8 }];
    // The longest has 31 pages of tokens.
    const graph = graphOf(stages, { device: 13, host: 6, disk: 40 });
    const stats = await expectReferenceAnswers(graph, directory, expected, { measuresCosts: false });
    expect(stats.tiers.swapped).toBeGreaterThan(0);
    expect(stats.reusedTokens.device).toBeGreaterThan(0);
  });

  it('go through fewer pages than the longest has in a pipeline', async () => {
    const stages = [{ name: 'serve', mesh: { pp: 3 }, ...steps }];
    const graph = graphOf(stages, { device: 16, host: 0, disk: 0 });
    await expectReferenceAnswers(graph, directory, expected, { measuresCosts: false });
  });

  it('are handed over from a pipeline to tensor-parallel ranks by their last pages, through all tiers', async () => {
    const stages = [
      { name: 'prefill', mesh: { pp: 2 }, ...steps },
      { name: 'decode', mesh: { tp: 2 }, ...steps },
    ];
    const graph = graphOf(stages, { device: 10, host: 7, disk: 12 });
    const stats = await expectReferenceAnswers(graph, directory, expected, {
      verifyMoves: true,
      measuresCosts: false,
    });
    expect(stats.transitions).toBeGreaterThan(1);
    expect(stats.bytes.kvSpilled).toBeGreaterThan(0);
    // Whole prompts have 78 pages.
    const left = stats.bytes.kvOut / graph.hostTier!.pageBytes;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(78 / 2);
  });
});
