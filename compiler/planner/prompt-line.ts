/**
 * The prompts of a replica in order of arrival: a prompt is let in once there is room for all its KV pages, until then
 * it waits. Steps take tokens of prompts that are let in.
 */
import { pairsOf } from '../cost/kernel-work.js';
import type { Stage } from '../plan/plan.js';
import type { SequencesInOrder } from './decode-rounds.js';
import type { StageLoad } from './stage-load.js';

/** Prompt tokens in one step of a replica. */
export interface PromptStep {
  readonly tokens: number;
  /** Prompts that end with it, by their index in the order of arrival. */
  readonly ended: readonly number[];
  /** Pairs of a query and a key that attention computes. */
  readonly pairs: number;
  /** Keys that attention reads. */
  readonly keys: number;
}

/** The line of a replica's prompts, from which steps are formed. */
export interface PromptLine {
  /** Whether every prompt has ended with some step. */
  readonly isOver: () => boolean;
  /**
   * The next step, with as many tokens as are there at `at` seconds; undefined where all prompts that are let in have
   * ended.
   */
  readonly nextStep: (at: number) => PromptStep | undefined;
  /** The KV pages of a prompt are free from `at` seconds on. Calls come in order of time. */
  readonly leaves: (prompt: number, at: number) => void;
  /** Seconds at which the next pages are free. */
  readonly nextLeft: () => number;
  /** The most KV pages that were held at once. */
  readonly mostPages: () => number;
  /** Whether any prompt waited for room. */
  readonly waited: () => boolean;
}

/**
 * @param line the replica's prompts, by their index in the order of arrival
 * @param room KV pages of the replica
 */
export function createPromptLine(
  { stage: { mesh }, sizes }: Pick<StageLoad, 'sizes'> & { readonly stage: Pick<Stage, 'mesh'> },
  sequences: SequencesInOrder,
  line: readonly number[],
  pageTokens: number,
  room: number,
): PromptLine {
  const { computed, prompts } = sequences;
  const leaving: { readonly at: number; readonly pages: number }[] = [];
  let [left, letIn, first, done] = [0, 0, 0, 0];
  let [held, most, waiting, waited] = [0, 0, 0, false];
  const letSomeIn = (at: number): void => {
    for (; left < leaving.length && leaving[left]!.at <= at; left++) held -= leaving[left]!.pages;
    while (letIn < line.length && waiting < sizes.maxTokens * mesh.pp) {
      const pages = pagesOf(sequences, line[letIn]!, pageTokens);
      if (held > 0 && held + pages > room) {
        waited = true;
        return;
      }
      held += pages;
      most = Math.max(most, held);
      waiting += prompts[line[letIn++]!]!;
    }
  };
  return {
    isOver: () => first === line.length,
    nextStep(at) {
      letSomeIn(at);
      if (waiting === 0) return undefined;
      let [tokens, pairs, keys] = [0, 0, 0];
      const ended: number[] = [];
      while (first < letIn && tokens < sizes.maxTokens && ended.length < sizes.maxSequences) {
        const index = line[first]!;
        const count = Math.min(prompts[index]! - done, sizes.maxTokens - tokens);
        const start = computed[index]! + done;
        tokens += count;
        pairs += pairsOf(start, count);
        keys += start + count;
        done += count;
        if (done < prompts[index]!) break;
        ended.push(index);
        first++;
        done = 0;
      }
      waiting -= tokens;
      return { tokens, ended, pairs, keys };
    },
    leaves: (prompt, at) => void leaving.push({ at, pages: pagesOf(sequences, prompt, pageTokens) }),
    nextLeft: () => leaving[left]!.at,
    mostPages: () => most,
    waited: () => waited,
  };
}

/** KV pages that a prompt fills, its last page whole. */
export function pagesOf(
  { computed, prompts }: Pick<SequencesInOrder, 'computed' | 'prompts'>,
  index: number,
  pageTokens: number,
): number {
  return Math.ceil((computed[index]! + prompts[index]!) / pageTokens);
}
