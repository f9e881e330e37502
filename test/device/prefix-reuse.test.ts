/** Prompts that begin alike: the same tokens whether what they share is computed once or for each of them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { makePlan } from '../compiler/support/make-plan.js';
import type { StageOptions } from '../compiler/support/make-plan.js';
import { GREEDY } from '../fixtures/greedy.js';
import { seededRandom } from '../fixtures/random.js';
import { CLERK } from './support/clerk.js';
import { generate } from './support/generate.js';
import { shapeOf } from './support/shape.js';

const directory = mkdtempSync(join(tmpdir(), 'fulcrum-prefix-'));
afterAll(() => rmSync(directory, { recursive: true }));

const random = seededRandom(5);
const tokens = (count: number): number[] => Array.from({ length: count }, () => 2 + random.below(500));
const [long, short] = [tokens(75), tokens(48)];
/** Pages have 16 tokens. */
const prompts = [
  // Ends on a page border, before it and behind it; the same prompt several times.
  ...[48, 48, 47, 49, 64, 64, 75, 75, 75].map((length) => long.slice(0, length)),
  ...[10, 20].map((more) => [...short, ...tokens(more)]),
  short,
  tokens(60),
  // Goes on differently within a page and on a border.
  ...[40, 48, 64].map((length) => [...long.slice(0, length), ...tokens(9)]),
];
const promptTokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);

interface Pages {
  readonly device: number;
  readonly host: number;
  readonly disk: number;
}

function graphOf(stages: readonly StageOptions[], pages: Pages): RuntimeGraph {
  const { runtime } = compilePlan(makePlan({ shape: shapeOf(CLERK), stages }));
  const { hostTier, diskTier: _, ...rest } = runtime;
  return {
    ...rest,
    // Loading always pays: what is reused must not depend on how fast this machine is at the moment.
    kv: { ...runtime.kv, costs: { prefillToken: 1, hostPage: 0, diskPage: 0 } },
    pools: runtime.pools.map((pool) => ({ ...pool, pages: pages.device })),
    hostTier: { ...hostTier!, pages: pages.host },
    ...(pages.disk > 0 && { diskTier: { name: 'nvme', directory, pages: pages.disk } }),
  };
}

/** Every other request draws its tokens, as answers of `n` do, each with a seed of its own. */
const run = (graph: RuntimeGraph, reusesPrefixes: boolean, all: readonly (readonly number[])[] = prompts) =>
  generate(graph, CLERK, all, {
    maxNewTokens: 10,
    stopIds: [],
    sampling: (i) => (i % 2 === 0 ? GREEDY : { ...GREEDY, temperature: 0.8, seed: i, logprobs: true }),
    engine: { reusesPrefixes, verifyMoves: true, measuresCosts: false },
  });

const batch = { microbatchTokens: 96, batchRequests: 6 };
const plans: readonly (readonly [string, readonly StageOptions[], Pages])[] = [
  ['one stage', [{ name: 'serve', mesh: { tp: 2 }, ...batch }], { device: 14, host: 40, disk: 0 }],
  [
    're-sharding through host and disk tier',
    [
      { name: 'prefill', mesh: { pp: 2 }, ...batch },
      { name: 'decode', mesh: { tp: 2 }, ...batch },
    ],
    { device: 24, host: 10, disk: 80 },
  ],
  [
    'stages on devices of their own',
    [
      { name: 'prefill', mesh: { tp: 1 }, devices: [0], ...batch },
      { name: 'decode', mesh: { pp: 2 }, devices: [1, 2], ...batch },
    ],
    { device: 8, host: 40, disk: 0 },
  ],
];

describe('prompts that begin alike', () => {
  it.each(plans)('are answered the same with %s', async (_, stages, pages) => {
    const graph = graphOf(stages, pages);
    const whole = await run(graph, false);
    const shared = await run(graph, true);
    expect(shared.outputs).toEqual(whole.outputs);
    expect([whole.stats.promptTokens, shared.stats.promptTokens]).toEqual([promptTokens, promptTokens]);
    expect(whole.stats.reusedTokens).toEqual({ device: 0, host: 0, disk: 0 });
    const { device, host, disk } = shared.stats.reusedTokens;
    expect(device + host + disk).toBeGreaterThan(promptTokens / 2);
    expect([whole.stats.copiedPages, shared.stats.copiedPages > 0]).toEqual([0, true]);
    // Few pages on the devices: what comes back to a beginning finds it in the host tier.
    if (pages.device < 10) expect(host).toBeGreaterThan(0);
  });

  it('cost one token each but for the first where they are the same, and as many as they differ in', async () => {
    const graph = graphOf([{ name: 'serve', mesh: { pp: 2, tp: 2 }, ...batch }], {
      device: 40,
      host: 0,
      disk: 0,
    });
    const own = tokens(7);
    const all = [long, long, long, short, short, [...long.slice(0, 60), ...own]];
    const whole = await run(graph, false, all);
    const shared = await run(graph, true, all);
    expect(shared.outputs).toEqual(whole.outputs);
    const computed = shared.stats.promptTokens - shared.stats.reusedTokens.device;
    expect(computed).toBe(long.length + 2 + short.length + 1 + own.length);
    expect(shared.stats.copiedPages).toBe(4);
  });
});
