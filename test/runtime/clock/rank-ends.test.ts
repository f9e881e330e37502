/** Ranks of a step of which a page move has made one late: the others go on with what comes behind it. */
import { expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { compilePlan } from '../../../compiler/compile.js';
import { groupBy } from '../../../compiler/group-by.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import { createTimeline, type TimedSlice } from '../../../runtime/clock/timeline.js';
import { memoryHost } from '../../compiler/check/memory-host.js';

const TEXT = `
device d { memory: 1000 MB, bandwidth: 100 GB/s, compute: { f16: 0.02 TFLOPS, f32: 0.02 TFLOPS } }
topology t {
  node[2] {
    gpu[2]: d
    tier host { capacity: 200 MB }
    link gpu <-> gpu { bandwidth: 0.2 GB/s, latency: 0 us, allreduce_latency: { 2: 10 us, 4: 20 us } }
    link gpu <-> host { bandwidth: 20 GB/s, latency: 100 us, bandwidth_back: 5 GB/s }
  }
  link node <-> node { bandwidth: 0.02 GB/s, latency: 0 us }
  overhead { submit: { 1: 60 us, 4: 250 us } }
}
model m {
  family: gemma2
  layers: 5, hidden: 512, heads: 8, kv_heads: 2, head_dim: 32, ffn: 1024, vocab: 256, context: 1024
  window: 32 tokens
}
plan p for m on t {
  stage prefill on node.gpu { mesh (dp: 2, pp: 1, tp: 2), microbatch: 32 tokens }
  stage decode on node.gpu { mesh (dp: 4, pp: 1, tp: 1), batch: 8 requests }
}`;

/** Prompt and answer of each request. */
const REQUESTS = [
  [89, 4],
  [971, 3],
  [943, 20],
  [196, 1],
  [171, 3],
  [999, 2],
  [391, 1],
] as const;

function steps(): readonly TimedSlice[] {
  const { plans, diagnostics } = checkFile(memoryHost({ 'p.plan': TEXT }), 'p.plan');
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  const [plan] = plans;
  const timeline = createTimeline(({ thread }) => thread === 'queue');
  const requests = REQUESTS.map(([promptTokens, outputTokens]) => ({ promptTokens, outputTokens }));
  const { runtime } = compilePlan(plan!);
  // Without a word of hosts, as in graphs of earlier builds, KV comes from the other node as well.
  const { hosts: _hosts, ...hostTier } = runtime.hostTier!;
  simulate({ ...runtime, hostTier }, plan!, requests, { timeline, transitions: 'barrier' });
  return timeline.slices();
}

it('end when each of them is through, and no two steps are on a device at once', () => {
  const all = steps();
  const ends = groupBy(all, ({ args, start }) => `${String(args!['step'])} ${start}`);
  expect([...ends.values()].some((ranks) => new Set(ranks.map(({ end }) => end)).size > 1)).toBe(true);
  for (const own of groupBy(all, ({ lane }) => lane.process).values()) {
    const inOrder = own.toSorted((a, b) => a.start - b.start);
    for (const [i, { start }] of inOrder.slice(1).entries())
      expect(start).toBeGreaterThanOrEqual(inOrder[i]!.end - 1e-12);
    for (const { end, within } of own)
      for (const part of within!()) expect(part.end).toBeLessThanOrEqual(end);
  }
});
