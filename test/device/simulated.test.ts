/** What the clock executor counts is what devices move: same graph, same scheduler, same bytes. */
import { expect, it } from 'vitest';
import { fileHost } from '../../runtime/file-host.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan } from '../../compiler/compile.js';
import { neutralPageBytes } from '../../compiler/passes/kv-pools.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { simulate } from '../../runtime/clock/simulate.js';
import { seededRandom } from '../fixtures/random.js';
import { CLERK } from './support/clerk.js';
import { generate } from './support/generate.js';

const { plans } = checkFile(fileHost(), 'plans/clerk.plan');
const NEW_TOKENS = 6;

/** With host pages for a few sequences only, so that stages switch again and again. */
function withLittleRoom(plan: Plan): Plan {
  const cap = 16 * neutralPageBytes(plan);
  return { ...plan, kv: { ...plan.kv, tiers: plan.kv.tiers.map((tier) => ({ ...tier, cap })) } };
}

it.each(['reshard', 'hybrid', 'split'])(
  'plan %s moves the bytes that its simulation counts',
  async (name) => {
    const plan = withLittleRoom(plans.find((each) => each.name === name)!);
    const { runtime, transitions } = compilePlan(plan);
    const random = seededRandom(5);
    const prompts = Array.from({ length: 12 }, () =>
      Array.from({ length: 1 + random.below(90) }, () => random.below(512)),
    );
    const { stats } = await generate(runtime, CLERK, prompts, { maxNewTokens: NEW_TOKENS, stopIds: [] });
    const simulated = simulate(
      runtime,
      plan,
      prompts.map(({ length }) => ({ promptTokens: length, outputTokens: NEW_TOKENS })),
    );
    expect({
      tokens: simulated.tokens,
      transitions: simulated.transitions.count,
      bytes: simulated.bytes,
    }).toEqual({
      tokens: { prompt: stats.promptTokens, output: stats.generatedTokens },
      transitions: stats.transitions,
      bytes: {
        allReduce: stats.bytes.allReduce,
        allGather: stats.bytes.allGather,
        send: stats.bytes.send,
        kvOut: stats.bytes.kvOut,
        kvIn: stats.bytes.kvIn,
        kvSpilled: stats.bytes.kvSpilled,
        kvFetched: stats.bytes.kvFetched,
      },
    });
    expect(stats.bytes.weights).toBe(simulated.transitions.bytes);
    // The first batch begins with prefill, so switches there and back alternate.
    const predicted = transitions.weights.map(({ bytes }) => bytes.upload + bytes.peer);
    const [there = 0, back = 0] = predicted;
    const switches = stats.transitions;
    expect(stats.bytes.weights).toBe(Math.ceil(switches / 2) * there + Math.floor(switches / 2) * back);
    if (predicted.length > 0) expect(switches).toBeGreaterThan(2);
  },
);
