/** What the clock executor counts is what devices move: same graph, same scheduler, same bytes. */
import { expect, it } from 'vitest';
import { fileHost } from '../../runtime/file-host.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan } from '../../compiler/compile.js';
import { simulate } from '../../runtime/clock/simulate.js';
import { seededRandom } from '../fixtures/random.js';
import { CLERK } from './support/clerk.js';
import { generate } from './support/generate.js';

const { plans } = checkFile(fileHost(), 'plans/clerk.plan');
const NEW_TOKENS = 6;

it.each(['reshard', 'hybrid', 'split'])(
  'plan %s moves the bytes that its simulation counts',
  async (name) => {
    const plan = plans.find((each) => each.name === name)!;
    const { runtime } = compilePlan(plan);
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
    // What a device can keep in memory that the other stage leaves free is not known before the run.
    expect(stats.bytes.weights).toBeLessThanOrEqual(simulated.transitions.bytes);
  },
);
