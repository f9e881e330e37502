/** Steps that exchange over the very lanes that their weights arrive on. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { Simulation, SimulateOptions } from '../../../runtime/clock/simulation.js';
import { checkText } from '../../compiler/check/memory-host.js';

/** KV stays where it is, so that decode begins while its weights are on their way. */
const planOver = (links: string): Plan =>
  checkText(`
device d {
  memory: 8 GB, bandwidth: 1000 GB/s, compute: { f16: 100 TFLOPS }
  sustained: { compute: 100%, bandwidth: 100% }, largest_binding: 8 GB
}
topology t { gpu[2]: d, tier host { capacity: 64 GB }, ${links} }
model m {
  family: llama, weights: f16
  layers: 16, hidden: 4096, heads: 32, kv_heads: 8, ffn: 14336, vocab: 32000, context: 4096
}
plan p for m on t {
  residence: switch
  stage prefill on gpu { mesh (tp: 2), microbatch: 512 tokens }
  stage decode on gpu { mesh (tp: 2), batch: 8 requests, replicate ffn }
  kv { page: 16 tokens, tiers: gpu -> host }
  flow requests -> prefill -> decode -> results
}`).plans[0]!;

const TO_HOST = 'link gpu <-> host { bandwidth: 2 GB/s, latency: 0 us }';
const TO_PEER = 'link gpu <-> gpu { bandwidth: 10 GB/s, latency: 0 us }';
const requests = Array.from({ length: 8 }, () => ({ promptTokens: 512, outputTokens: 2 }));

const run = (plan: Plan, options: SimulateOptions): Simulation =>
  simulate(compilePlan(plan).runtime, plan, requests, options);

describe('a step that waits for weights on the lanes of its exchanges', () => {
  it.each([
    ['weights from the other device', `${TO_HOST}, ${TO_PEER}`],
    ['all by way of the host', TO_HOST],
  ])('exchanges once they are there, and waits no second time: %s', (_, links) => {
    const plan = planOver(links);
    const [beside, apart] = (['dataflow', 'barrier'] as const).map((transitions) =>
      run(plan, { transitions }),
    );
    // Nothing is gained or lost by beginning early: the lanes are taken all the while.
    expect(beside!.makespan).toBeLessThan(apart!.makespan * 1.005);
    expect(beside!.makespan).toBeGreaterThan(apart!.makespan * 0.98);
    // An exchange that comes behind weights takes longer, and what needs these waits the less.
    const held = ({ devices: [device] }: Simulation): number =>
      device!.seconds.all_reduce + device!.exposedTransition;
    expect(Math.abs(held(beside!) - held(apart!))).toBeLessThan(apart!.makespan * 0.02);
  });
});
