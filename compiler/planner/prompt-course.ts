/**
 * How prefill may well go where prompts come in order of arrival: packed into steps, which pass the groups of a pipeline
 * one after the other. No bound.
 *
 * A group begins with a step when it is through with the one before and that before it in the pipeline is through with this
 * one. There are as many steps in flight as groups; a step that samples nothing is out of the way of the next. Between its
 * steps a device sends out the pages of prompts that are done.
 */
import type { Mutable } from '../mutable.js';
import type { KvView } from '../model/kv-window.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { SHOWN_MOVES, sum, type StageLoad } from './stage-load.js';

/** What of a stage's load prefill needs. */
export interface PrefillingStage extends Pick<StageLoad, 'sizes' | 'stepSeconds' | 'out'> {
  readonly stage: Pick<Stage, 'mesh'>;
}

export interface PromptCourse {
  /** Until all prompts are done, and their pages sent out as far as that keeps devices from the next. */
  readonly seconds: number;
  /** When each prompt is done, in order of arrival; at once where nothing of it is left. */
  readonly ends: readonly number[];
  /** And when its pages are sent out, behind those of others that are done with it, and behind steps. */
  readonly sent: readonly number[];
  /** What a pipeline takes to fill when prefill begins again: a first step on all groups but the slowest. */
  readonly filling: number;
}

/** Prompt tokens in one step of a replica. */
interface PromptStep {
  readonly tokens: number;
  /** Prompts that end with it, by their place in the order of arrival. */
  readonly ended: number[];
  readonly pairs: number;
  readonly keys: number;
  /** Of the prompts that end with it. */
  readonly pages: number;
}

/** @param apart pages go out beside kernels */
export function promptCourse(
  load: PrefillingStage,
  sequences: SequencesInOrder,
  { pageTokens }: KvView,
  { step, request }: Pick<Plan['topology']['overhead'], 'step' | 'request'>,
  apart: boolean,
): PromptCourse {
  const { stage, stepSeconds, out } = load;
  const { dp, pp, tp } = stage.mesh;
  const shown = apart ? 0 : tp > 1 ? SHOWN_MOVES : 1;
  let [longest, filling] = [0, 0];
  const ends = sequences.prompts.map(() => 0);
  const sent = [...ends];
  const pageSeconds = Math.max(...out);
  for (const steps of stepsByReplica(load, sequences, pageTokens, dp)) {
    /** When a group is through with all that it was given so far. */
    const free = Array.from({ length: pp }, () => 0);
    /** When each step was out of the way. */
    const past: number[] = [];
    const done: number[] = [];
    let prepared = 0;
    for (const [index, { tokens, ended, pairs, keys, pages }] of steps.entries()) {
      const samples = ended.length;
      const seconds = stepSeconds({ tokens, samples, pairs, keys });
      if (index === 0) filling = Math.max(filling, sum(seconds) - Math.max(...seconds));
      prepared = Math.max(prepared, past[index - pp] ?? 0) + step + request * samples;
      let at = prepared;
      for (let place = 0; place < pp; place++) {
        at = Math.max(at, free[place]!) + seconds[place]!;
        free[place] = at;
      }
      for (const each of ended) ends[each] = at;
      done.push(at);
      past.push(samples === 0 ? at - seconds[pp - 1]! : at);
      if (pages > 0) for (let place = 0; place < pp; place++) free[place]! += pages * out[place]! * shown;
    }
    longest = Math.max(longest, ...free);
    let gone = 0;
    for (const [index, { ended }] of steps.entries()) {
      // Behind the next step, which is given out first, but where moves come in between its exchanges.
      const waits = pp * tp === 1 && index + 1 < steps.length;
      gone = Math.max(gone, done[waits ? index + 1 : index]!);
      for (const each of ended) sent[each] = gone += pagesOf(sequences, each, pageTokens) * pageSeconds;
    }
  }
  return { seconds: longest, ends, sent, filling };
}

/** Every prompt goes to the replica that has the fewest tokens by then. */
function stepsByReplica(
  { sizes }: PrefillingStage,
  sequences: SequencesInOrder,
  pageTokens: number,
  dp: number,
): readonly (readonly PromptStep[])[] {
  const { computed, prompts } = sequences;
  const replicas = Array.from({ length: dp }, () => ({ given: 0, steps: [] as Mutable<PromptStep>[] }));
  for (const [i, prompt] of prompts.entries()) {
    if (prompt <= 0) continue;
    const replica = replicas.reduce((least, each) => (each.given < least.given ? each : least));
    replica.given += prompt;
    const { steps } = replica;
    for (let done = 0; done < prompt;) {
      let last = steps.at(-1);
      if (last === undefined || last.tokens >= sizes.maxTokens || last.ended.length >= sizes.maxSequences)
        steps.push((last = { tokens: 0, ended: [], pairs: 0, keys: 0, pages: 0 }));
      const count = Math.min(prompt - done, sizes.maxTokens - last.tokens);
      const start = computed[i]! + done;
      done += count;
      last.tokens += count;
      last.pairs += count * start + (count * (count + 1)) / 2;
      last.keys += start + count;
      if (done < prompt) continue;
      last.ended.push(i);
      last.pages += pagesOf(sequences, i, pageTokens);
    }
  }
  return replicas.map(({ steps }) => steps);
}

/** That its prompt fills, where it has rows to decode. */
function pagesOf(
  { computed, prompts, rows }: Pick<SequencesInOrder, 'computed' | 'prompts' | 'rows'>,
  place: number,
  pageTokens: number,
): number {
  return rows[place]! > 0 ? Math.ceil((computed[place]! + prompts[place]!) / pageTokens) : 0;
}
