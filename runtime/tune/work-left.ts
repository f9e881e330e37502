/**
 * The part of a workload that a simulation has yet to give out in steps. It is never more than what is really left, so
 * that a bound on its time is a bound on the time that the simulation still takes.
 */
import { pairsOf } from '../../compiler/cost/kernel-work.js';
import { firstPageSeen, mostPages } from '../../compiler/model/kv-window.js';
import type { Demand } from '../../compiler/planner/demand.js';
import type { SimulatedRequest } from '../clock/simulation.js';
import type { StepItem } from '../scheduler/types.js';

/** Counts down what is left of a workload. */
export interface WorkLeft {
  /** Counts the rows of a step that is given out. */
  readonly count: (items: readonly StepItem[]) => void;
  /** @param dropped how many sequences lost their KV so far: each is prefilled once more, for one token */
  readonly demand: (dropped: number) => Demand;
}

/**
 * Begins with all of a workload left.
 *
 * @param whole the demand of the requests
 */
export function createWorkLeft(requests: readonly SimulatedRequest[], whole: Demand): WorkLeft {
  const { kv, longest } = whole;
  const ended = new Set<number>();
  const tokens = requests.map(({ outputTokens }) => outputTokens);
  const prompts = [...(whole.inOrder?.prompts ?? [])];
  const computed = [...(whole.inOrder?.computed ?? [])];
  let [promptTokens, promptPairs] = [whole.promptTokens, whole.promptPairs];
  let [decodeRows, decodeKeys, decodePages] = [whole.decodeRows, whole.decodeKeys, whole.decodePages];
  return {
    count(items) {
      for (const { sequence, start, count, sample } of items) {
        if (sample) tokens[sequence]!--;
        const { promptTokens: prompt } = requests[sequence]!;
        const end = start + count;
        computed[sequence] = end;
        if (start >= prompt && count === 1) {
          decodeRows--;
          decodeKeys -= end;
          decodePages -= Math.ceil(end / kv.pageTokens) - firstPageSeen(kv, start);
          continue;
        }
        const rows = Math.max(0, Math.min(end, prompt) - start);
        promptTokens -= rows;
        prompts[sequence] = (prompts[sequence] ?? 0) - rows;
        promptPairs -= pairsOf(start, rows);
        if (end >= prompt) ended.add(sequence);
      }
    },
    demand: (dropped) => ({
      ...whole,
      requests: whole.requests - ended.size + dropped,
      decoding: requests.filter(({ outputTokens }, id) => outputTokens > 1 && tokens[id]! > 0).length,
      shortestOutput: shortestOf(requests.filter((_, id) => !ended.has(id))),
      longestOutput: tokens.reduce((most, each) => Math.max(most, each), 0),
      promptTokens: Math.max(0, promptTokens),
      // What is found in place of being computed has no tokens left of its own.
      promptPairs: promptTokens > 0 ? Math.max(0, promptPairs) : 0,
      decodeRows: Math.max(0, decodeRows - dropped),
      decodeKeys: Math.max(0, decodeKeys - dropped * longest),
      decodePages: Math.max(0, decodePages - dropped * mostPages(kv, longest, 1)),
      ...(whole.inOrder && {
        inOrder: {
          computed: [...computed],
          begun: tokens.map((each, id) => each < requests[id]!.outputTokens - 1),
          prompts: prompts.map((each) => Math.max(0, each)),
          rows: tokens.map((each, id) => (ended.has(id) ? each : each - 1)),
        },
      }),
    }),
  };
}

function shortestOf(requests: readonly SimulatedRequest[]): number {
  const tokens = requests.map(({ outputTokens }) => outputTokens);
  return tokens.length === 0 ? 1 : tokens.reduce((least, each) => Math.min(least, each));
}
