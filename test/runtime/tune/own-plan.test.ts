/** Which plans a search tries as they are. */
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { findCandidates, hostKvBytes } from '../../../compiler/planner/candidates.js';
import { fileHost } from '../../../runtime/file-host.js';
import { runThrough } from '../../../runtime/run-through.js';
import { betterThanFound, candidateOf, isTried } from '../../../runtime/tune/own-plan.js';
import { tune } from '../../../runtime/tune/tune.js';

const TEXT = `import { workstation } from "std/local"
model m { family: llama, layers: 8, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
plan p for m on workstation {
  stage prefill on gpu { mesh (pp: 4) PREFILL }
  stage decode on gpu { mesh (tp: 4) DECODE }
  kv { tiers: gpu -> host }
  flow requests -> prefill -> decode -> results { RULES }
}
`;

function planOf(prefill: string, decode: string, rules: string): Plan {
  const path = resolve('own.plan');
  const text = TEXT.replace('PREFILL', prefill).replace('DECODE', decode).replace('RULES', rules);
  const host = fileHost();
  const { plans, diagnostics } = checkFile(
    { ...host, readText: (each) => (each === path ? text : host.readText(each)) },
    path,
  );
  expect(diagnostics).toEqual([]);
  return plans[0]!;
}

describe('isTried', () => {
  it.each([
    ['', '', '', true],
    [', microbatch: 48 tokens', ', batch: 3 requests', '', true],
    ['', '', 'to decode when host.full or requests.empty', true],
    ['', '', 'to decode when host.full', false],
    ['', ', replicate vocab', '', false],
    ['', ', override layers[0..1].mlp { replicate ffn }', '', false],
    [', split layers on pp [3, 1, 2, 2]', '', '', false],
    [', split layers on pp [2, 2, 2, 2]', '', '', true],
  ])('with %j, %j and rules %j: %j', (prefill, decode, rules, expected) => {
    expect(isTried(planOf(prefill, decode, rules))).toBe(expected);
  });
});

describe('candidateOf', () => {
  const plan = planOf(', microbatch: 48 tokens', ', batch: 3 requests', '');
  const cap = hostKvBytes(plan)!;
  const sizes = { microbatchTokens: [32, 48], batchRequests: [3, 8], hostKvBytes: [cap / 2, cap] };

  it('is the one with the meshes, sizes and room for KV of the plan', () => {
    const found = candidateOf(plan, findCandidates(plan, ['re-sharded'], sizes))!;
    expect(found.stages.map(({ mesh }) => [mesh.pp, mesh.tp])).toEqual([
      [4, 1],
      [1, 4],
    ]);
    expect(found.stages[0]!.microbatchTokens).toBe(48);
    expect(found.stages[1]!.batchRequests).toBe(3);
    expect(hostKvBytes(found.base)).toBe(cap);
  });

  it.each([{ microbatchTokens: [32] }, { batchRequests: [8] }, { hostKvBytes: [cap / 2] }])(
    'is none of those with other sizes alone: %j',
    (others) => {
      expect(
        candidateOf(plan, findCandidates(plan, ['re-sharded'], { ...sizes, ...others })),
      ).toBeUndefined();
    },
  );
});

describe('betterThanFound', () => {
  const plan = planOf(', microbatch: 48 tokens', ', batch: 3 requests', '');
  const candidates = findCandidates(plan);
  const itself = candidateOf(plan, candidates)!;
  const requests = Array.from({ length: 6 }, () => ({ promptTokens: 40, outputTokens: 20 }));
  const own = tune([itself], requests).ranked[0]!.simulation;
  const { makespan, latency } = own;

  it('is what simulates better than the best, in what is wanted', () => {
    const slower = { ...own, makespan: makespan * 1.001 };
    for (const byEstimate of [true, false]) {
      const throughput = { goal: { kind: 'throughput' }, byEstimate } as const;
      expect(runThrough(betterThanFound(itself, requests, throughput, slower))?.makespan).toBe(makespan);
      expect(runThrough(betterThanFound(itself, requests, throughput, own))).toBeUndefined();
    }
    const longer = { ...own, latency: { ...latency, betweenTokens: latency.betweenTokens * 1.001 } };
    const floor = (rate: number) => ({ goal: { kind: 'latency', floor: rate / makespan } }) as const;
    expect(runThrough(betterThanFound(itself, requests, floor(5), longer))?.makespan).toBe(makespan);
    expect(runThrough(betterThanFound(itself, requests, floor(5), own))).toBeUndefined();
    // It is not fast enough.
    expect(runThrough(betterThanFound(itself, requests, floor(7), longer))).toBeUndefined();
    expect(runThrough(betterThanFound(itself, requests, floor(7), undefined))).toBeUndefined();
  });
});
