/**
 * How prefill may well go where prompts come in order of arrival: packed into steps, which pass the groups of a pipeline
 * one after the other. No bound.
 *
 * A group begins with a step when it is through with the one before and that before it in the pipeline is through with this
 * one. There are as many steps in flight as groups; a step that samples nothing is out of the way of the next. Between its
 * steps a device sends out the pages of prompts that are done. A prompt is let in when there is room for all its pages, and
 * gives them up when they are sent out; steps have the tokens of what is let in by then.
 */
import type { KvView } from '../model/kv-window.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { createPromptLine, pagesOf } from './prompt-line.js';
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
  /** Pages that a replica has room for, those that one held at most, and whether a prompt waited for some. */
  readonly room: number;
  readonly mostPages: number;
  readonly waited: boolean;
}

/**
 * @param apart pages go out beside kernels
 * @param room pages of a replica
 */
export function promptCourse(
  load: PrefillingStage,
  sequences: SequencesInOrder,
  { pageTokens }: KvView,
  { step, request }: Pick<Plan['topology']['overhead'], 'step' | 'request'>,
  apart: boolean,
  room = Infinity,
): PromptCourse {
  const { stage, stepSeconds, out } = load;
  const { dp, pp, tp } = stage.mesh;
  const shown = apart ? 0 : tp > 1 ? SHOWN_MOVES : 1;
  const ends = sequences.prompts.map(() => 0);
  const sent = [...ends];
  const pageSeconds = Math.max(...out);
  // Pages go out behind the next step, if the devices are given that first, but where moves come in between its exchanges.
  const behindNext = tp === 1;
  let [longest, filling, mostPages, waited] = [0, 0, 0, false];
  for (const prompts of promptsByReplica(sequences, dp)) {
    const line = createPromptLine(load, sequences, prompts, pageTokens, room);
    /** When a group is through with all that it was given so far. */
    const free = Array.from({ length: pp }, () => 0);
    /** When each step was out of the way. */
    const past: number[] = [];
    let [prepared, gone] = [0, 0];
    let unsent: readonly number[] = [];
    /** @param done when the devices are free to send */
    const sendOut = (done: number): void => {
      gone = Math.max(gone, done);
      for (const each of unsent) {
        sent[each] = gone += pagesSent(sequences, each, pageTokens) * pageSeconds;
        line.leaves(each, gone);
      }
      unsent = [];
    };
    while (!line.isOver()) {
      prepared = Math.max(prepared, past[past.length - pp] ?? 0);
      const next = line.nextStep(prepared);
      if (next === undefined) {
        // What is done is all that holds pages.
        sendOut(gone);
        prepared = Math.max(prepared, line.nextLeft());
        continue;
      }
      const { tokens, ended, pairs, keys } = next;
      const samples = ended.length;
      const seconds = stepSeconds({ tokens, samples, pairs, keys });
      if (past.length === 0) filling = Math.max(filling, sum(seconds) - Math.max(...seconds));
      prepared += step + request * samples;
      let at = prepared;
      for (let place = 0; place < pp; place++) {
        at = Math.max(at, free[place]!) + seconds[place]!;
        free[place] = at;
      }
      for (const each of ended) ends[each] = at;
      past.push(samples === 0 ? at - seconds[pp - 1]! : at);
      const pages = ended.reduce((count, each) => count + pagesSent(sequences, each, pageTokens), 0);
      if (pages > 0) for (let place = 0; place < pp; place++) free[place]! += pages * out[place]! * shown;
      if (behindNext) {
        const isLate = pp > 1 && at - seconds[pp - 1]! > gone;
        sendOut(isLate ? gone : at);
        gone = Math.max(gone, at);
      }
      unsent = ended;
      if (!behindNext) sendOut(at);
    }
    sendOut(gone);
    longest = Math.max(longest, ...free);
    mostPages = Math.max(mostPages, line.mostPages());
    waited ||= line.waited();
  }
  return { seconds: longest, ends, sent, filling, room, mostPages, waited };
}

/** Whether it is the course with so much room as well. */
export function goesWith({ room, mostPages, waited }: PromptCourse, other: number): boolean {
  return room === other || (!waited && mostPages <= other);
}

/** Prompts by their places in the order of arrival: each goes to the replica that has the fewest tokens by then. */
function promptsByReplica({ prompts }: SequencesInOrder, dp: number): readonly (readonly number[])[] {
  const replicas = Array.from({ length: dp }, () => ({ given: 0, prompts: [] as number[] }));
  for (const [i, prompt] of prompts.entries()) {
    if (prompt <= 0) continue;
    const replica = replicas.reduce((least, each) => (each.given < least.given ? each : least));
    replica.given += prompt;
    replica.prompts.push(i);
  }
  return replicas.map((each) => each.prompts);
}

/** Pages of a prompt that are sent out: where it has rows to decode. */
function pagesSent(sequences: SequencesInOrder, place: number, pageTokens: number): number {
  return sequences.rows[place]! > 0 ? pagesOf(sequences, place, pageTokens) : 0;
}
