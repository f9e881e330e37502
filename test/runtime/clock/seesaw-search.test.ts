/** What searches of the benchmark of Seesaw take over from each other: nothing that changes what they find. */
import { describe, expect, it } from 'vitest';
import { ALL_EFFECTS, engineWith, variations } from '../../../bench/support/seesaw-engines.js';
import {
  createSearcher,
  createSearchMemory,
  type Searched,
  type Searcher,
} from '../../../bench/support/seesaw-search.js';
import { planOn } from '../tune/machines.js';

const plan = planOn({
  peerBandwidth: 1e8,
  deviceMemory: 6e6,
  step: 1e-4,
  layer: 1e-5,
  request: 1e-6,
  pageTokens: 16,
});
const requests = Array.from({ length: 6 }, (_, i) => ({
  promptTokens: 30 + (i % 5) * 10,
  outputTokens: 4 + (i % 7) * 3,
}));
const how = (engine: Searched['engine']): Searched => ({ engine, transitions: 'dataflow' });

describe('searches that know what others found', () => {
  it('find what those find that know nothing', () => {
    const memory = createSearchMemory();
    const searcher = createSearcher(plan, requests, memory);
    const seconds = (each: Searcher, searched: Searched): number | undefined =>
      each.best('fused', searched)?.seconds;
    for (const effects of [ALL_EFFECTS, { ...ALL_EFFECTS, pipeline: false }]) {
      const searched = how(engineWith(effects));
      const fresh = createSearcher(plan, requests, createSearchMemory());
      expect(seconds(searcher, searched)).toBe(seconds(fresh, searched));
    }
    const searched = how(engineWith(ALL_EFFECTS));
    const withLatency = (seconds: number): typeof plan => {
      const sizes = { allreduce: { 2: 1e12, 4: 1e12 }, allreduceLatency: { 2: seconds, 4: seconds } };
      const links = plan.topology.links.map((link) => ({ ...link, ...sizes }));
      return { ...plan, topology: { ...plan.topology, links } };
    };
    const others = [
      ...variations(plan).filter(({ name }) => /over 2 x0.5/.test(name)),
      ...[0, 0.1].map((latency) => ({ name: `latency ${latency}`, plan: withLatency(latency) })),
      { name: 'memory', plan: { ...plan, memoryUse: plan.memoryUse * 0.5 } },
    ];
    for (const { plan: each, name } of others) {
      const fresh = createSearcher(each, requests, createSearchMemory());
      const known = createSearcher(each, requests, memory);
      expect(seconds(known, searched), name).toBe(seconds(fresh, searched));
    }
  }, 120_000);

  it('have of every pair of meshes the best chunk', () => {
    const searched = how(engineWith(ALL_EFFECTS));
    const searcher = createSearcher(plan, requests, createSearchMemory());
    const pairs = searcher.every('fused', searched);
    const best = searcher.best('fused', searched)!;
    expect(Math.min(...pairs.map(({ seconds }) => seconds))).toBe(best.seconds);
    expect(new Set(pairs.map(({ label }) => label)).size).toBe(pairs.length);
    const chunks = searcher.chunks('fused', best, searched);
    expect(Math.min(...chunks.map(({ seconds }) => seconds))).toBe(best.seconds);
    expect(chunks.length).toBeGreaterThan(1);
  });
});
