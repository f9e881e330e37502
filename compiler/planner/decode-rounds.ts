/** Rounds of decode where sequences take their turn in order of arrival. In a round each that is under way has one row. */
import { once } from '../once.js';
import { createHeap } from '../reshard/heap.js';

/** What is left of sequences, in order of arrival. */
export interface SequencesInOrder {
  /** Tokens of which the KV is there. */
  readonly computed: readonly number[];
  /** Whether they decode already: their pages are on the devices. */
  readonly begun: readonly boolean[];
  /** Tokens to prefill. */
  readonly prompts: readonly number[];
  /** Rows of decode. */
  readonly rows: readonly number[];
}

/**
 * Rounds until all rows are done, with no more than so many sequences under way at once: each begins as soon as one
 * before it has made room.
 *
 *     rows 3, 1, 4 with 2 places: 3 . .
 *                                 1 4 4 4 4     5 rounds
 */
export function decodeRounds(sequences: SequencesInOrder, places: number): number {
  let known = knownRounds.get(sequences);
  if (known === undefined) knownRounds.set(sequences, (known = once((each) => countRounds(sequences, each))));
  return known(places);
}

/** Of a workload, for all the plans that are estimated for it. */
const knownRounds = new WeakMap<SequencesInOrder, (places: number) => number>();

/**
 * The same where prompts are prefilled meanwhile, one after the other, so many tokens in a round.
 *
 * @param inPlace a prompt waits for the place in which its sequence decodes, as in a stage for both phases
 */
export function roundsWithPrompts(
  sequences: SequencesInOrder,
  places: number,
  tokensOfRound: number,
  inPlace: boolean,
): number {
  return countRounds(sequences, places, { tokensOfRound, inPlace });
}

function countRounds(
  { prompts, rows }: SequencesInOrder,
  places: number,
  prefill?: { readonly tokensOfRound: number; readonly inPlace: boolean },
): number {
  /** The rounds after which those under way end. */
  const ends = createHeap<number>((a, b) => a - b);
  let [underWay, last, prefilled] = [0, 0, 0];
  for (const [i, each] of rows.entries()) {
    const prompt = prefill === undefined ? 0 : prompts[i]!;
    if (each <= 0 && prompt <= 0) continue;
    const place = underWay < places ? 0 : ends.pop()!;
    if (underWay < places) underWay++;
    let begin = place;
    if (prefill !== undefined && prompt > 0) {
      prefilled = (prefill.inPlace ? Math.max(prefilled, place) : prefilled) + prompt / prefill.tokensOfRound;
      begin = Math.max(place, prefilled);
    }
    const end = begin + Math.max(0, each);
    ends.push(end);
    last = Math.max(last, end);
  }
  return last;
}
