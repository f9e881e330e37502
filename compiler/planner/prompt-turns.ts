/**
 * Turns of prefill on devices that it shares with decode: prompts are prefilled in order of arrival until the tiers
 * between the stages are full of them, and again when these hold next to nothing any more, as `defaultRules` has it.
 * Rather short: a step that the last prompt of a turn shares with the next is not run twice.
 */
import { once, onceForObject } from '../once.js';
import type { SequencesInOrder } from './decode-rounds.js';
import type { PromptCourse } from './prompt-course.js';

export interface TurnSetting extends Pick<PromptCourse, 'ends' | 'seconds' | 'filling'> {
  /** KV pages that the tiers have room for, and below how many of them prefill goes on. */
  readonly room: number;
  readonly few: number;
  /** Seconds until the weights of prefill are there, and those of decode. */
  readonly toPrefill: number;
  readonly toDecode: number;
}

export interface PromptTurns {
  /** How many prompts are done: the first so many. */
  readonly done: () => number;
  /** When one that is done was. */
  readonly firstToken: (place: number) => number;
  /** Pages that come into the tiers, or leave them. */
  readonly add: (pages: number) => void;
  /** Whether decode gives way. */
  readonly isDue: () => boolean;
  /** A turn that begins then; returns when it is over. */
  readonly prefill: (at: number) => number;
}

/** @param setting what prefill takes where it never waits */
export function createPromptTurns(
  { computed, begun, prompts, rows }: SequencesInOrder,
  pageTokens: number,
  { ends, seconds, filling, room, few, toPrefill, toDecode }: TurnSetting,
): PromptTurns {
  let [done, held, until] = [0, 0, 0];
  const first: number[] = [];
  const pagesOf = (place: number): number =>
    rows[place]! > 0 && !begun[place] ? Math.ceil((computed[place]! + prompts[place]!) / pageTokens) : 0;
  return {
    done: () => done,
    firstToken: (place) => first[place]!,
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

/** What sequences wait between first token and decode, for every row that they have, in the mean. */
export interface PartsWaited {
  /** Of the time that all prompts take: for those behind their own. */
  readonly behindPrompts: number;
  /** Of the time that all rows take: until they begin. */
  readonly aheadOfRows: number;
}

/** Where all are prefilled first, and then decode in order of arrival: as many as there are places begin at once. */
export function partsWaited(sequences: SequencesInOrder, places: number): PartsWaited {
  return partsBy(sequences)(places);
}

const partsBy = onceForObject((sequences: SequencesInOrder) =>
  once((places: number) => findParts(sequences, places)),
);

function findParts({ prompts, rows }: SequencesInOrder, places: number): PartsWaited {
  const sum = (all: readonly number[]): number => all.reduce((total, each) => total + Math.max(0, each), 0);
  const [promptTokens, decodeRows] = [sum(prompts), sum(rows)];
  const decoding = rows.filter((each) => each > 0).length;
  const begunAtOnce = (places * decodeRows) / Math.max(1, decoding);
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
