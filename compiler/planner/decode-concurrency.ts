/** What sequences have beside them as they decode, in rounds as `decode-rounds` has them. */
import { onceForBoth, onceForObject } from '../once.js';
import { layOut, type LaidOut, type Prefill, type SequencesInOrder } from './decode-rounds.js';

/** What sequences have beside them as they decode, in the mean over them. */
export interface DecodeConcurrency {
  /** Sequences that decode, each itself included. */
  readonly rows: number;
  /** Prompt tokens in a round. */
  readonly promptTokens: number;
}

/** What sequences have beside them in a stage for both phases, where each has a prompt that waits for its slot. */
export function fusedConcurrency(
  sequences: SequencesInOrder,
  slots: number,
  tokensOfRound: number,
): DecodeConcurrency {
  return concurrencyBy(sequences)(slots, tokensOfRound);
}

/** Found once for a workload, for all stages with as many slots and prompt tokens in a round. */
const concurrencyBy = onceForObject((sequences: SequencesInOrder) =>
  onceForBoth(
    (slots, tokensOfRound) =>
      layOutWithConcurrency(sequences, slots, { tokensOfRound, inPlace: true }).concurrency,
  ),
);

/** What sequences have beside them where prompts are prefilled elsewhere, and what they wait for. */
export interface DisaggregatedConcurrency extends Pick<DecodeConcurrency, 'rows'> {
  /** Rounds from the first token of a sequence until it begins to decode, by each of its rows. */
  readonly waited: number;
  /** Sequences that wait so at once, in the mean over all rounds. */
  readonly waiting: number;
}

/**
 * As `fusedConcurrency`, with prompts as in `roundsWithPrompts`.
 *
 * @param handedOver prompt tokens whose KV is handed over in a round, where these are fewer than are prefilled
 */
export function disaggregatedConcurrency(
  sequences: SequencesInOrder,
  slots: number,
  tokensOfRound: number,
  handedOver: number,
): DisaggregatedConcurrency {
  const come = Math.min(tokensOfRound, handedOver);
  const { laidOut, concurrency } = layOutWithConcurrency(sequences, slots, {
    tokensOfRound: come,
    inPlace: false,
  });
  let [prefilled, waited, waiting, decoding] = [0, 0, 0, 0];
  const { rows, prompts, begins } = laidOut;
  for (let index = 0; index < rows.length; index++) {
    prefilled += prompts[index]! / tokensOfRound;
    if (rows[index] === 0) continue;
    const waits = Math.max(0, begins[index]! - prefilled);
    waiting += waits;
    waited += waits / rows[index]!;
    decoding++;
  }
  return {
    rows: concurrency.rows,
    waited: waited / Math.max(1, decoding),
    waiting: waiting / Math.max(1, laidOut.rounds),
  };
}

/** Lays sequences out, and finds what each has beside it. */
function layOutWithConcurrency(
  sequences: SequencesInOrder,
  slots: number,
  prefill: Prefill,
): { readonly laidOut: LaidOut; readonly concurrency: DecodeConcurrency } {
  const inOrderOfEnd: number[] = [];
  const laidOut = layOut(sequences, slots, prefill, (index) => inOrderOfEnd.push(index));
  const { rows, prompts, begins, ends } = laidOut;
  const { tokensOfRound } = prefill;
  const course = {
    begins,
    ends: Float64Array.from(inOrderOfEnd, (index) => ends[index]!),
    prompts,
    tokensOfRound,
  };
  const [atBegins, atEnds] = [sumsAt(begins, course), sumsAt(course.ends, course)];
  let [rowsBeside, promptsBeside, decoding] = [0, 0, 0];
  for (let last = 0; last < inOrderOfEnd.length; last++) {
    const index = inOrderOfEnd[last]!;
    if (rows[index] === 0) continue;
    const rounds = ends[index]! - begins[index]!;
    rowsBeside += (atEnds.rows[last]! - atBegins.rows[index]!) / rounds;
    promptsBeside += (atEnds.tokens[last]! - atBegins.tokens[index]!) / rounds;
    decoding++;
  }
  const mean = (sum: number): number => sum / Math.max(1, decoding);
  return { laidOut, concurrency: { rows: mean(rowsBeside), promptTokens: mean(promptsBeside) } };
}

/** Rounds in which sequences begin, as prompts of so many tokens are done, and in which they end; all in order. */
interface Course extends Pick<LaidOut, 'begins' | 'ends' | 'prompts'>, Pick<Prefill, 'tokensOfRound'> {}

/**
 * Rows, and prompt tokens, until each of some rounds: every sequence has one row in each round between its first and its last.
 * A prompt that is under way has its tokens by then.
 *
 * @param rounds in order, one for each sequence
 */
function sumsAt(
  rounds: Float64Array,
  { begins, ends, prompts, tokensOfRound }: Course,
): Readonly<Record<'rows' | 'tokens', Float64Array>> {
  const count = begins.length;
  const found = { rows: new Float64Array(count), tokens: new Float64Array(count) };
  let [begun, done] = [0, 0];
  let [begunAt, doneAt, tokens] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const round = rounds[i]!;
    for (; begun < count && begins[begun]! <= round; begun++) {
      begunAt += begins[begun]!;
      tokens += prompts[begun]!;
    }
    while (done < count && ends[done]! <= round) doneAt += ends[done++]!;
    const underWay = begun < count ? prompts[begun]! - (begins[begun]! - round) * tokensOfRound : 0;
    found.rows[i] = doneAt - begunAt + (begun - done) * round;
    found.tokens[i] = tokens + Math.max(0, underWay);
  }
  return found;
}
