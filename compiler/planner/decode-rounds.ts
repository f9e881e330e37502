/** Rounds of decode where sequences take their turn in order of arrival. In a round each that is under way has one row. */
import { once, onceForObject } from '../once.js';

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
  return roundsBy(sequences)(places);
}

/** Of a workload, for all the plans that are estimated for it. */
const roundsBy = onceForObject((sequences: SequencesInOrder) =>
  once((places: number) => countRounds(sequences, places)),
);

/** The same where prompts are prefilled meanwhile, one after the other, so many tokens in a round. */
export function roundsWithPrompts(
  sequences: SequencesInOrder,
  places: number,
  tokensOfRound: number,
): number {
  return countRounds(sequences, places, { tokensOfRound, inPlace: false });
}

/** Rounds in which prompts are prefilled and rows decoded. */
export interface RoundsInPlace {
  readonly rounds: number;
  /** Until the last prompt is done, and how many rows of decode there are in these. */
  readonly prompting: number;
  readonly rowsMeanwhile: number;
}

/**
 * The same where each prompt waits for the place in which its sequence decodes, as in a stage for both phases, and what there
 * is while some are to come.
 *
 * @param prompted told of each prompt from which round on it is prefilled, in order, and its tokens
 */
export function roundsInPlace(
  sequences: SequencesInOrder,
  places: number,
  tokensOfRound: number,
  prompted?: (fromRound: number, tokens: number) => void,
): RoundsInPlace {
  const count = sequences.rows.length;
  const [begins, ends] = [new Float64Array(count), new Float64Array(count)];
  let [told, prompting, rowsMeanwhile] = [0, 0, 0];
  const prefill = { tokensOfRound, inPlace: true };
  const rounds = countRounds(sequences, places, prefill, (begin, end, place) => {
    begins[told] = begin;
    ends[told++] = end;
    const prompt = sequences.prompts[place]!;
    if (prompt <= 0) return;
    prompting = begin;
    prompted?.(begin - prompt / tokensOfRound, prompt);
  });
  for (let i = 0; i < told; i++)
    if (begins[i]! < prompting) rowsMeanwhile += Math.min(ends[i]!, prompting) - begins[i]!;
  return { rounds, prompting, rowsMeanwhile };
}

interface Prefill {
  readonly tokensOfRound: number;
  readonly inPlace: boolean;
}

/** Told of each sequence, by its place in the order of arrival, when it begins to decode and when it ends, in rounds. */
type TellOf = (begin: number, end: number, place: number) => void;

function countRounds(
  { prompts, rows }: SequencesInOrder,
  places: number,
  prefill?: Prefill,
  tell?: TellOf,
): number {
  /** The rounds after which those under way end: a heap, the first at the beginning. */
  const ends = new Float64Array(Math.min(places, rows.length));
  let [underWay, last, prefilled] = [0, 0, 0];
  for (let i = 0; i < rows.length; i++) {
    const each = rows[i]!;
    const prompt = prefill === undefined ? 0 : prompts[i]!;
    if (each <= 0 && prompt <= 0) continue;
    const place = underWay < ends.length ? 0 : ends[0]!;
    let begin = place;
    if (prefill !== undefined && prompt > 0) {
      prefilled = (prefill.inPlace ? Math.max(prefilled, place) : prefilled) + prompt / prefill.tokensOfRound;
      begin = Math.max(place, prefilled);
    }
    const end = begin + Math.max(0, each);
    if (underWay < ends.length) addLast(ends, underWay++, end);
    else replaceFirst(ends, end);
    last = Math.max(last, end);
    tell?.(begin, end, i);
  }
  return last;
}

function addLast(heap: Float64Array, count: number, value: number): void {
  let at = count;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = value;
}

function replaceFirst(heap: Float64Array, value: number): void {
  let at = 0;
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= value) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = value;
}

/** What sequences have beside them as they decode, in the mean over them. */
export interface Company {
  /** Sequences that decode, each itself included. */
  readonly rows: number;
  /** Prompt tokens in a round. */
  readonly promptTokens: number;
}

/** Of a stage for both phases, with prompts in place: each sequence has one. */
export function companyOf(sequences: SequencesInOrder, places: number, tokensOfRound: number): Company {
  const { prompts, rows } = sequences;
  const count = rows.length;
  /** Of prompts, which end in order: when, and how many tokens they come to. */
  const [prompted, tokens] = [new Float64Array(count), new Float64Array(count)];
  /** Of those that decode. */
  const [begins, ends] = [new Float64Array(count), new Float64Array(count)];
  let [given, ended, decoding] = [0, 0, 0];
  countRounds(sequences, places, { tokensOfRound, inPlace: true }, (begin, end, place) => {
    prompted[ended] = begin;
    tokens[ended++] = given += Math.max(0, prompts[place]!);
    if (rows[place]! <= 0) return;
    begins[decoding] = begin;
    ends[decoding++] = end;
  });
  const course = {
    begins: begins.subarray(0, decoding),
    ends: ends.slice(0, decoding).sort(),
    prompted: prompted.subarray(0, ended),
    tokens,
  };
  const [atBegins, atEnds] = [sumsAt(course.begins, course), sumsAt(course.ends, course)];
  let [rowsBeside, promptsBeside] = [0, 0];
  for (let i = 0; i < decoding; i++) {
    const [rounds, last] = [ends[i]! - begins[i]!, placeOf(course.ends, ends[i]!) - 1];
    rowsBeside += (atEnds.rows[last]! - atBegins.rows[i]!) / rounds;
    promptsBeside += (atEnds.tokens[last]! - atBegins.tokens[i]!) / rounds;
  }
  const mean = (sum: number): number => sum / Math.max(1, decoding);
  return { rows: mean(rowsBeside), promptTokens: mean(promptsBeside) };
}

/** Rounds in which sequences begin and end, and in which prompts are done, with the tokens that they come to; all in order. */
interface Rounds {
  readonly begins: Float64Array;
  readonly ends: Float64Array;
  readonly prompted: Float64Array;
  readonly tokens: Float64Array;
}

/**
 * Rows, and prompt tokens, until each of some rounds: every sequence has one row in each round between its first and its last.
 *
 * @param rounds in order, one for each sequence
 */
function sumsAt(
  rounds: Float64Array,
  { begins, ends, prompted, tokens }: Rounds,
): Readonly<Record<'rows' | 'tokens', Float64Array>> {
  const count = begins.length;
  const found = { rows: new Float64Array(count), tokens: new Float64Array(count) };
  let [begun, done, prompts] = [0, 0, 0];
  let [begunAt, doneAt] = [0, 0];
  for (let i = 0; i < count; i++) {
    const round = rounds[i]!;
    while (begun < count && begins[begun]! <= round) begunAt += begins[begun++]!;
    while (done < count && ends[done]! <= round) doneAt += ends[done++]!;
    while (prompts < prompted.length && prompted[prompts]! <= round) prompts++;
    found.rows[i] = doneAt - begunAt + (begun - done) * round;
    found.tokens[i] = tokens[prompts - 1] ?? 0;
  }
  return found;
}

/** How many of the values, which are in order, are no more than this. */
function placeOf(values: Float64Array, most: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! <= most) low = middle + 1;
    else high = middle;
  }
  return low;
}
