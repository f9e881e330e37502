/**
 * Turns of prefill on devices that it shares with decode: prompts are prefilled in order of arrival until the tiers
 * between the stages are full of them, and again when these hold next to nothing any more, as `defaultRules` has it.
 * The estimate is rather short: a step that the last prompt of a turn shares with the next is not run twice.
 */
import { once, onceForObject } from '../once.js';
import type { SequencesInOrder } from './decode-rounds.js';
import type { PromptCourse } from './prompt-course.js';

/** When turns begin and end, with the course of prefill as if it never waited. */
export interface TurnSetting extends Pick<PromptCourse, 'ends' | 'seconds' | 'filling'> {
  /** KV pages that the tiers between the stages have room for. */
  readonly room: number;
  /** Prefill goes on when fewer pages than this are left in the tiers. */
  readonly few: number;
  /** Seconds of a transition until the weights of prefill are there. */
  readonly toPrefill: number;
  /** Seconds of a transition until the weights of decode are there. */
  readonly toDecode: number;
}

/** Turns of prefill, as decode asks for them. */
export interface PromptTurns {
  /** Number of prompts that are prefilled: the first ones in order of arrival. */
  readonly done: () => number;
  /** Seconds at which a prompt that is prefilled had its first token. */
  readonly firstToken: (index: number) => number;
  /** Pages come into the tiers, or leave them where negative. */
  readonly add: (pages: number) => void;
  /** Whether decode is to give way to prefill now. */
  readonly isDue: () => boolean;
  /** Runs a turn of prefill that begins at `at` seconds; returns the seconds at which decode may go on. */
  readonly prefill: (at: number) => number;
}

/**
 * Turns of prefill for sequences in order of arrival, before any turn has begun.
 *
 * @param setting rules of turns, and the course of prefill as if it never waited
 */
export function createPromptTurns(
  { computed, begun, prompts, rows }: SequencesInOrder,
  pageTokens: number,
  { ends, seconds, filling, room, few, toPrefill, toDecode }: TurnSetting,
): PromptTurns {
  let [done, held, until] = [0, 0, 0];
  const first: number[] = [];
  const pagesOf = (index: number): number =>
    rows[index]! > 0 && !begun[index] ? Math.ceil((computed[index]! + prompts[index]!) / pageTokens) : 0;
  return {
    done: () => done,
    firstToken: (index) => first[index]!,
    add: (pages) => void (held += pages),
    isDue: () => done < prompts.length && (held === 0 || held < few),
    prefill(at) {
      const shift = at - until + (done > 0 ? filling + toPrefill : 0);
      let prefills = false;
      do {
        prefills ||= prompts[done]! > 0;
        until = Math.max(until, ends[done]!);
        first.push(shift + ends[done]!);
        held += pagesOf(done++);
      } while (done < prompts.length && held + pagesOf(done) <= room);
      if (done === prompts.length) until = Math.max(until, seconds);
      // What is done already has been handed over.
      return shift + until + (prefills ? toDecode : 0);
    },
  };
}

/** What sequences wait between first token and decode, divided by their rows, in the mean over sequences. */
export interface PartsWaited {
  /** As a part of the time of all prompts: waiting until the prompts behind their own are prefilled. */
  readonly behindPrompts: number;
  /** As a part of the time of all decode rows: waiting until their own begin. */
  readonly aheadOfRows: number;
}

/** What sequences wait where all are prefilled first, and then decode in order of arrival, `slots` of them at once. */
export function partsWaited(sequences: SequencesInOrder, slots: number): PartsWaited {
  return partsBy(sequences)(slots);
}

const partsBy = onceForObject((sequences: SequencesInOrder) =>
  once((slots: number) => findParts(sequences, slots)),
);

function findParts({ prompts, rows }: SequencesInOrder, slots: number): PartsWaited {
  const sum = (all: readonly number[]): number => all.reduce((total, each) => total + Math.max(0, each), 0);
  const [promptTokens, decodeRows] = [sum(prompts), sum(rows)];
  const decoding = rows.filter((each) => each > 0).length;
  const begunAtOnce = (slots * decodeRows) / Math.max(1, decoding);
  let [prompted, given, behindPrompts, aheadOfRows] = [0, 0, 0, 0];
  for (const [i, each] of rows.entries()) {
    prompted += Math.max(0, prompts[i]!);
    if (each <= 0) continue;
    behindPrompts += (promptTokens - prompted) / Math.max(1, promptTokens) / each;
    aheadOfRows += Math.max(0, given - begunAtOnce) / decodeRows / each;
    given += each;
  }
  const mean = (total: number): number => total / Math.max(1, decoding);
  return { behindPrompts: mean(behindPrompts), aheadOfRows: mean(aheadOfRows) };
}
