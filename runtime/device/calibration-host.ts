/**
 * What a step costs the host before any device hears of it: the scheduler's next action and the arguments of the step. And
 * what the tokens cost that it chooses in the end.
 * Sequences that decode are run through both, one at a time and several, with nothing but the host's own work to do.
 */
import type { SamplingParams } from '../engine/types.js';
import { buildStepArgs, stepArgsLayout } from '../exec/step-args.js';
import { SAMPLE_WORDS } from '../kernels/kernel.js';
import { choose } from '../sampling/choose.js';
import { createScheduler } from '../scheduler/scheduler.js';
import type { SchedulerConfig } from '../scheduler/types.js';
import { middleMean } from './calibration-rounds.js';

/** Seconds of the host's thread. */
export interface MeasuredHost {
  readonly step: number;
  /** For every request in the step. */
  readonly request: number;
  /** Of choosing a token, for every row that samples. */
  readonly choose: number;
}

const PAGE_TOKENS = 16;
const PROMPT_TOKENS = 64;
const NEW_TOKENS = 64;
/** Requests of a step. */
const FEW = 1;
const MANY = 32;

const CONFIG: SchedulerConfig = {
  stages: [
    {
      name: 'serve',
      phases: ['prefill', 'decode'],
      dp: 1,
      depth: 1,
      pool: 'serve',
      maxTokens: MANY * PROMPT_TOKENS,
      maxSequences: MANY,
      batchRequests: MANY,
      group: 'all',
      residence: 'serve',
    },
  ],
  pools: [{ id: 'serve', dp: 1, pages: MANY * ((PROMPT_TOKENS + NEW_TOKENS) / PAGE_TOKENS) }],
  pageTokens: PAGE_TOKENS,
  hostPages: 0,
  hostTier: 'host',
  diskPages: 0,
  diskTier: 'disk',
  costs: { prefillToken: 0, hostPage: 0, diskPage: 0 },
  flow: ['serve'],
  rules: [],
  transitions: 'dataflow',
  context: PROMPT_TOKENS + NEW_TOKENS,
};

export function measureHost(): MeasuredHost {
  const [few, many] = [stepSeconds(FEW), stepSeconds(MANY)];
  const request = Math.max(0, many - few) / (MANY - FEW);
  return { step: Math.max(few - FEW * request, few / 2), request, choose: chooseSeconds() };
}

/** Ranks that report samples, and how often tokens of a full step are chosen. */
const REPORTING = 4;
const CHOICES = 200;

/** Of a row of which the ranks of a group report the best token each. */
function chooseSeconds(): number {
  const reports = Array.from({ length: REPORTING }, () => new Uint8Array(MANY * SAMPLE_WORDS * 4));
  const times = Array.from({ length: CHOICES }, () => {
    const began = performance.now();
    for (let row = 0; row < MANY; row++) choose(reports, row, GREEDY, PROMPT_TOKENS);
    return (performance.now() - began) / 1000 / MANY;
  });
  return middleMean(times);
}

const GREEDY: SamplingParams = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
  logprobs: false,
  topLogprobs: 0,
};

/** Of one step as a rule, while so many requests decode until their ends. */
function stepSeconds(requests: number): number {
  const layout = stepArgsLayout(MANY * PROMPT_TOKENS, MANY, CONFIG.pools[0]!.pages);
  const scheduler = createScheduler(CONFIG);
  for (let id = 0; id < requests; id++)
    scheduler.apply({
      kind: 'arrive',
      request: { id, promptTokens: PROMPT_TOKENS, maxNewTokens: NEW_TOKENS },
    });
  const times: number[] = [];
  while (!scheduler.idle()) {
    const began = performance.now();
    for (const action of scheduler.next()) {
      if (action.kind !== 'step') throw new Error(`a step was to come, not ${action.kind}`);
      const { id, items } = action;
      buildStepArgs(
        layout,
        items,
        PAGE_TOKENS,
        () => 0,
        () => ({ mode: 0, seed: 0, position: 0, temperature: 0 }),
      );
      const sampled = items.flatMap(({ sequence, sample }) =>
        sample ? [{ sequence, finished: false }] : [],
      );
      scheduler.apply({ kind: 'step_done', id, sampled });
    }
    times.push((performance.now() - began) / 1000);
  }
  return middleMean(times);
}
