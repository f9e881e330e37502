/**
 * An estimate of prefill, step by step, where prompts come in order of arrival: they are packed into steps, which pass
 * the groups of a pipeline one after the other. No bound.
 *
 * A group begins with a step when it is through with the one before and that before it in the pipeline is through with this
 * one. There are as many steps in flight as groups; a step that samples nothing is out of the way of the next. Between its
 * steps a device sends out the pages of prompts that are done. A prompt is let in when there is room for all its pages, and
 * gives them up when they are sent out; steps have the tokens of what is let in by then. Replicas that have a host in common
 * wait for it in the order in which their steps ask for it.
 */
import { prepare, type Host } from '../cost/host-queue.js';
import type { Stage } from '../plan/plan.js';
import type { CourseSetting } from './course-setting.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { SHOWN_MOVES } from './estimate-margins.js';
import { hostsOf } from './hosts.js';
import { createPromptLine, pagesOf, type PromptLine, type PromptStep } from './prompt-line.js';
import { sum, type StageLoad } from './stage-load.js';

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

/** Prefill under way, step by step. */
export interface PromptSteps {
  /** Seconds at which a host is asked for the next step; infinite where all are done. */
  readonly asks: () => number;
  /** Carries that step out. Returns the prompts whose pages are known now to be sent out, and when, with it or before. */
  readonly goOn: () => readonly number[];
  /** What the steps so far come to. */
  readonly course: () => PromptCourse;
}

/** Estimates the prefill of all that is left of some prompts. */
export function promptCourse(load: PrefillingStage, setting: CourseSetting): PromptCourse {
  const { asks, goOn, course } = promptSteps(load, setting);
  while (asks() < Infinity) goOn();
  return course();
}

/**
 * As `promptCourse`, step by step.
 *
 * @param host which all replicas have in common, but where each has its own: what it does for others comes in between
 */
export function promptSteps(
  load: PrefillingStage,
  { room, sequences, kv: { pageTokens }, overhead, copyEngines }: CourseSetting,
  host?: Host,
): PromptSteps {
  const { dp, pp, tp } = load.stage.mesh;
  const count = sequences.prompts.length;
  const course: Course = {
    load,
    sequences,
    pageTokens,
    overhead,
    shown: copyEngines ? 0 : tp > 1 ? SHOWN_MOVES : 1,
    pageSeconds: Math.max(...load.out),
    ends: new Float64Array(count),
    sent: new Float64Array(count),
  };
  const hosts = hostsOf(overhead, dp, host);
  const replicas = promptsByReplica(sequences, dp).map((prompts, index) => ({
    line: createPromptLine(load, sequences, prompts, pageTokens, room),
    host: hosts[index]!,
    free: new Float64Array(pp),
    past: new Float64Array(pp),
    steps: 0,
    asked: 0,
    filling: undefined,
    gone: 0,
    unsent: NONE,
  }));
  let [next, at] = [replicas[0]!, 0];
  const findNext = (): void => {
    at = Infinity;
    for (const each of replicas) {
      const asks = each.line.isOver() ? Infinity : Math.max(each.asked, each.past[each.steps % pp]!);
      if (asks < at) [next, at] = [each, asks];
    }
  };
  findNext();
  return {
    asks: () => at,
    goOn() {
      const sent = goOn(course, next, at);
      findNext();
      return sent;
    },
    course() {
      const { ends, sent, shown } = course;
      return {
        ends,
        sent,
        shown,
        room,
        seconds: Math.max(...replicas.flatMap(({ free }) => [...free])),
        filling: Math.max(...replicas.map((each) => each.filling ?? 0)),
        mostPages: Math.max(...replicas.map(({ line }) => line.mostPages())),
        waited: replicas.some(({ line }) => line.waited()),
      };
    },
  };
}

/** What the steps of all replicas go by, and what they add to. */
interface Course extends Pick<CourseSetting, 'sequences' | 'overhead'> {
  readonly load: PrefillingStage;
  readonly pageTokens: number;
  /** As in `PromptCourse`. */
  readonly shown: number;
  /** Seconds of a page to the host tier, from the slowest pipeline stage. */
  readonly pageSeconds: number;
  readonly ends: Float64Array;
  readonly sent: Float64Array;
}

interface Replica {
  readonly line: PromptLine;
  readonly host: Host;
  /** When a group is through with all that it was given so far. */
  readonly free: Float64Array;
  /** When each of the last steps was out of the way, as many as are in flight. */
  readonly past: Float64Array;
  steps: number;
  /** When the host was asked for the last step. */
  asked: number;
  /** Seconds of filling the pipeline, by the first step. */
  filling: number | undefined;
  /** When all pages so far are sent out. */
  gone: number;
  /** Prompts that are done and whose pages have yet to be given to the devices to send. */
  unsent: readonly number[];
}

const NONE: readonly number[] = [];

/** Carries out a step of a replica that is asked for at `asked`. Returns prompts as `PromptSteps` does. */
function goOn(course: Course, replica: Replica, asked: number): readonly number[] {
  const { overhead, ends } = course;
  const { pp, tp } = course.load.stage.mesh;
  const { line, host, past } = replica;
  replica.asked = asked;
  const next = line.nextStep(asked);
  if (next === undefined) {
    // What is done is all that holds pages.
    const sent = sendOut(course, replica, replica.gone);
    replica.asked = Math.max(asked, line.nextLeft());
    return sent;
  }
  const { ended } = next;
  const prepared = prepare(host, asked, overhead.step + overhead.request * ended.length);
  const { at, last } = passGroups(course, replica, next, prepared);
  for (const each of ended) ends[each] = at;
  past[replica.steps++ % pp] = ended.length === 0 ? at - last : at;
  // In a pipeline pages go out behind the next step, if the devices are given that first, but where moves come in between its
  // exchanges. Elsewhere the host has to prepare that one when it has read the last.
  const behindNext = tp === 1 && pp > 1;
  const isLate = at - last > replica.gone;
  const sent = behindNext ? sendOut(course, replica, isLate ? replica.gone : at) : NONE;
  replica.gone = Math.max(replica.gone, at);
  replica.unsent = ended;
  return behindNext && !line.isOver() ? sent : [...sent, ...sendOut(course, replica, at)];
}

/**
 * Lets a step pass all groups, with the pages of the prompts that end with it. Returns when the step is through, and
 * its seconds on the last group.
 */
function passGroups(
  { load: { stepSeconds, out }, sequences, pageTokens, shown }: Course,
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
  for (let pp = 0; pp < free.length; pp++) {
    at = Math.max(at, free[pp]!) + seconds[pp]!;
    free[pp] = at + pages * out[pp]! * shown;
  }
  return { at, last: seconds.at(-1)! };
}

/**
 * Sends out the pages of prompts that are done. Returns these.
 *
 * @param done when the devices are free to send
 */
function sendOut(
  { sequences, sent, pageTokens, pageSeconds }: Course,
  replica: Replica,
  done: number,
): readonly number[] {
  const { unsent } = replica;
  replica.gone = Math.max(replica.gone, done);
  for (const each of unsent) {
    replica.gone += pagesSent(sequences, each, pageTokens) * pageSeconds;
    sent[each] = replica.gone;
    replica.line.leaves(each, replica.gone);
  }
  replica.unsent = NONE;
  return unsent;
}

/** Whether a course is the same with `other` pages of room. */
export function goesWith({ room, mostPages, waited }: PromptCourse, other: number): boolean {
  return room === other || (!waited && mostPages <= other);
}

/**
 * Prompts of each replica, by their index in the order of arrival: each goes to the replica with the fewest tokens by
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
function pagesSent(sequences: SequencesInOrder, index: number, pageTokens: number): number {
  return sequences.rows[index]! > 0 ? pagesOf(sequences, index, pageTokens) : 0;
}
