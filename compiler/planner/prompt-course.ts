/**
 * An estimate of prefill, step by step, where prompts come in order of arrival: they are packed into steps, which pass
 * the groups of a pipeline one after the other. No bound.
 *
 * A group begins with a step when it is through with the one before and that before it in the pipeline is through with this
 * one. There are as many steps in flight as groups; a step that samples nothing is out of the way of the next. Between its
 * steps a device sends out the pages of prompts that are done. A prompt is let in when there is room for all its pages, and
 * gives them up when they are sent out; steps have the tokens of what is let in by then.
 */
import type { KvView } from '../model/kv-window.js';
import type { Stage } from '../plan/plan.js';
import type { StepOverhead } from './bounded-plan.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { createPromptLine, pagesOf, type PromptLine, type PromptStep } from './prompt-line.js';
import { SHOWN_MOVES, sum, type StageLoad } from './stage-load.js';

/**
 * The part of `StageLoad` that estimating prefill needs: step limits, the cost of a step, seconds per page to the host
 * tier, mesh.
 */
export interface PrefillingStage extends Pick<StageLoad, 'sizes' | 'stepSeconds' | 'out'> {
  readonly stage: Pick<Stage, 'mesh'>;
}

/** What a course of prefill comes to. Times are seconds from its beginning. */
export interface PromptCourse {
  /** Until all prompts are done, and their pages are sent out as far as that delays devices. */
  readonly seconds: number;
  /** When each prompt is done, in order of arrival; 0 where nothing of it is left. */
  readonly ends: ArrayLike<number>;
  /**
   * When the KV pages of each prompt are with the host tier: behind those of others that are done with it, and behind
   * steps.
   */
  readonly sent: ArrayLike<number>;
  /** Seconds that a pipeline takes to fill when prefill begins again: a first step on all groups but the slowest. */
  readonly filling: number;
  /** Fraction of the time of page moves that delays the next step of a device, see `SHOWN_MOVES`. */
  readonly shown: number;
  /** KV pages that a replica has room for. */
  readonly room: number;
  /** The most KV pages that a replica held at once. */
  readonly mostPages: number;
  /** Whether any prompt waited for room. */
  readonly waited: boolean;
}

/**
 * Estimates the prefill of all that is left of some prompts.
 *
 * @param apart pages go out beside kernels, by copy engines
 * @param room KV pages of a replica
 */
export function promptCourse(
  load: PrefillingStage,
  sequences: SequencesInOrder,
  { pageTokens }: KvView,
  { step, request }: StepOverhead,
  apart: boolean,
  room = Infinity,
): PromptCourse {
  const { dp, pp, tp } = load.stage.mesh;
  const count = sequences.prompts.length;
  const setting: Setting = {
    ...{ load, sequences, pageTokens, step, request },
    shown: apart ? 0 : tp > 1 ? SHOWN_MOVES : 1,
    pageSeconds: Math.max(...load.out),
    ends: new Float64Array(count),
    sent: new Float64Array(count),
  };
  let [seconds, filling, mostPages, waited] = [0, 0, 0, false];
  for (const prompts of promptsByReplica(sequences, dp)) {
    const line = createPromptLine(load, sequences, prompts, pageTokens, room);
    const replica: Replica = { line, free: new Float64Array(pp), filling: undefined, gone: 0, unsent: NONE };
    prefill(setting, replica);
    for (const free of replica.free) seconds = Math.max(seconds, free);
    filling = Math.max(filling, replica.filling ?? 0);
    mostPages = Math.max(mostPages, line.mostPages());
    waited ||= line.waited();
  }
  const { ends, sent, shown } = setting;
  return { seconds, ends, sent, filling, shown, room, mostPages, waited };
}

interface Setting {
  readonly load: PrefillingStage;
  readonly sequences: SequencesInOrder;
  readonly pageTokens: number;
  /** Host seconds for a step. */
  readonly step: number;
  /** Host seconds for each prompt that ends with a step. */
  readonly request: number;
  /** As in `PromptCourse`. */
  readonly shown: number;
  /** Seconds of a page to the host tier, from the slowest pipeline stage. */
  readonly pageSeconds: number;
  readonly ends: Float64Array;
  readonly sent: Float64Array;
}

interface Replica {
  readonly line: PromptLine;
  /** When a group is through with all that it was given so far. */
  readonly free: Float64Array;
  /** Seconds of filling the pipeline, by the first step. */
  filling: number | undefined;
  /** When all pages so far are sent out. */
  gone: number;
  /** Prompts that are done and whose pages have yet to be given to the devices to send. */
  unsent: readonly number[];
}

const NONE: readonly number[] = [];

/** Carries out all steps of a replica. */
function prefill(setting: Setting, replica: Replica): void {
  const { step, request, ends } = setting;
  const { pp, tp } = setting.load.stage.mesh;
  const { line } = replica;
  // In a pipeline pages go out behind the next step, if the devices are given that first, but where moves come in between its
  // exchanges. Elsewhere the host has to prepare that one when it has read the last.
  const behindNext = tp === 1 && pp > 1;
  /** When each of the last steps was out of the way, as many as are in flight. */
  const past = new Float64Array(pp);
  let [steps, prepared] = [0, 0];
  while (!line.isOver()) {
    prepared = Math.max(prepared, past[steps % pp]!);
    const next = line.nextStep(prepared);
    if (next === undefined) {
      // What is done is all that holds pages.
      sendOut(setting, replica, replica.gone);
      prepared = Math.max(prepared, line.nextLeft());
      continue;
    }
    const { ended } = next;
    prepared += step + request * ended.length;
    const { at, last } = passGroups(setting, replica, next, prepared);
    for (const each of ended) ends[each] = at;
    past[steps++ % pp] = ended.length === 0 ? at - last : at;
    if (behindNext) {
      const isLate = at - last > replica.gone;
      sendOut(setting, replica, isLate ? replica.gone : at);
      replica.gone = Math.max(replica.gone, at);
    }
    replica.unsent = ended;
    if (!behindNext) sendOut(setting, replica, at);
  }
  sendOut(setting, replica, replica.gone);
}

/**
 * Lets a step pass all groups, with the pages of the prompts that end with it. Returns when the step is through, and
 * its seconds on the last group.
 */
function passGroups(
  { load: { stepSeconds, out }, sequences, pageTokens, shown }: Setting,
  replica: Replica,
  { tokens, ended, pairs, keys }: PromptStep,
  prepared: number,
): { readonly at: number; readonly last: number } {
  const { free } = replica;
  const seconds = stepSeconds({ tokens, samples: ended.length, pairs, keys });
  replica.filling ??= sum(seconds) - Math.max(...seconds);
  let pages = 0;
  for (const each of ended) pages += pagesSent(sequences, each, pageTokens);
  let at = prepared;
  for (let place = 0; place < free.length; place++) {
    at = Math.max(at, free[place]!) + seconds[place]!;
    free[place] = at + pages * out[place]! * shown;
  }
  return { at, last: seconds.at(-1)! };
}

/**
 * Sends out the pages of prompts that are done.
 *
 * @param done when the devices are free to send
 */
function sendOut(
  { sequences, sent, pageTokens, pageSeconds }: Setting,
  replica: Replica,
  done: number,
): void {
  replica.gone = Math.max(replica.gone, done);
  for (const each of replica.unsent) {
    replica.gone += pagesSent(sequences, each, pageTokens) * pageSeconds;
    sent[each] = replica.gone;
    replica.line.leaves(each, replica.gone);
  }
  replica.unsent = NONE;
}

/** Whether a course is the same with `other` pages of room. */
export function goesWith({ room, mostPages, waited }: PromptCourse, other: number): boolean {
  return room === other || (!waited && mostPages <= other);
}

/**
 * Prompts of each replica, by their places in the order of arrival: each goes to the replica with the fewest tokens by
 * then.
 */
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

/** KV pages of a prompt that are sent out: none where it has no rows to decode. */
function pagesSent(sequences: SequencesInOrder, place: number, pageTokens: number): number {
  return sequences.rows[place]! > 0 ? pagesOf(sequences, place, pageTokens) : 0;
}
