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

interface Prefill {
  readonly tokensOfRound: number;
  readonly inPlace: boolean;
}

/** When a sequence begins to decode, and when it ends, in rounds. */
type Seen = (begin: number, end: number, place: number) => void;

function countRounds(
  { prompts, rows }: SequencesInOrder,
  places: number,
  prefill?: Prefill,
  seen?: Seen,
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
    seen?.(begin, end, i);
  }
  return last;
}

/** What sequences have beside them as they decode, in the mean over them. */
export interface Company {
  /** Sequences that decode, each itself included. */
  readonly rows: number;
  /** Prompt tokens in a round. */
  readonly promptTokens: number;
}

/** Of a stage for both phases, with prompts as `roundsWithPrompts` has them in place. */
export function companyOf(sequences: SequencesInOrder, places: number, tokensOfRound: number): Company {
  const { prompts, rows } = sequences;
  const decoding: { readonly begin: number; readonly end: number; readonly rows: number }[] = [];
  const [begins, tokens]: [number[], number[]] = [[], []];
  let given = 0;
  countRounds(sequences, places, { tokensOfRound, inPlace: true }, (begin, end, place) => {
    begins.push(begin);
    tokens.push((given += Math.max(0, prompts[place]!)));
    if (rows[place]! > 0) decoding.push({ begin, end, rows: rows[place]! });
  });
  /** Prompt tokens that are in by then: prompts end in order. */
  const promptedBy = (round: number): number => tokens[placeOf(begins, round) - 1] ?? 0;
  const ends = decoding.map(({ end }) => end).sort((a, b) => a - b);
  const firsts = decoding.map(({ begin }) => begin);
  const [endSums, firstSums] = [sumsOf(ends), sumsOf(firsts)];
  /** Rows until then: every sequence has one in each round between its first and its last. */
  const rowsBy = (round: number): number => {
    const [begun, ended] = [placeOf(firsts, round), placeOf(ends, round)];
    return endSums[ended]! - firstSums[begun]! + (begun - ended) * round;
  };
  const mean = (of: (begin: number, end: number) => number): number => {
    const sum = decoding.reduce((total, { begin, end, rows }) => total + of(begin, end) / rows, 0);
    return sum / Math.max(1, decoding.length);
  };
  return {
    rows: mean((begin, end) => rowsBy(end) - rowsBy(begin)),
    promptTokens: mean((begin, end) => promptedBy(end) - promptedBy(begin)),
  };
}

/** How many of the values, which are in order, are no more than this. */
function placeOf(values: readonly number[], most: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! <= most) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sums of the first so many, from none to all. */
function sumsOf(values: readonly number[]): readonly number[] {
  let total = 0;
  return [0, ...values.map((each) => (total += each))];
}
