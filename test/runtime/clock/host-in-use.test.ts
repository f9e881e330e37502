/** What a simulation says of the host tier: pages that KV is in, which prompts have claimed before. */
import { expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { Simulation } from '../../../runtime/clock/simulation.js';
import { createTimeline } from '../../../runtime/clock/timeline.js';
import { planOnNodes } from './nodes.js';

const [COUNT, PAGES, ALIKE] = [40, 20, 18];
/** K and V of 8 layers, 8 heads of 64, in f16, 16 tokens. */
const PAGE_BYTES = 2 * 8 * 8 * 64 * 2 * 16;

function run(alike: number): Simulation {
  const plan = planOnNodes({
    nodes: 1,
    stages: `
  stage prefill on node[0].gpu { mesh (pp: 2) }
  stage decode on node[0].gpu { mesh (tp: 2) }`,
    tiers: 'gpu -> host up to 40 MiB',
  });
  const requests = Array.from({ length: COUNT }, () => ({
    promptTokens: 16 * PAGES,
    outputTokens: 4,
    ...(alike > 0 && { prefix: { name: 'a', tokens: 16 * alike } }),
  }));
  return simulate(compilePlan(plan).runtime, plan, requests, { timeline: createTimeline(() => false) });
}

it('has prompts that begin alike in the host tier together, and changes stage no more often than that asks for', () => {
  const [alike, apart] = [run(ALIKE), run(0)];
  const put = (ALIKE + COUNT * (PAGES - ALIKE)) * PAGE_BYTES;
  expect(alike.bytes.kvOut).toBe(put);
  expect(put).toBeLessThan(40 * 2 ** 20);
  expect(alike.transitions.count).toBe(1);
  expect(apart.transitions.count).toBeGreaterThan(1);
});

it.each([ALIKE, 0])(
  'says that no KV is in it before some has left the devices (%i pages in common)',
  (alike) => {
    const { kv, tierPeak, bytes } = run(alike);
    expect(kv[0]).toMatchObject({ time: 0, host: 0 });
    expect(Math.max(...kv.map(({ host }) => host))).toBeGreaterThan(0.3);
    expect(tierPeak.host).toBeGreaterThan(0);
    expect(tierPeak.host).toBeLessThanOrEqual(Math.min(bytes.kvOut, 40 * 2 ** 20));
  },
);
