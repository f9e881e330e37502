/** Rounds of decode where sequences take their turn in order of arrival. In a round each that is under way has one row. */
import { firstAbove } from '../first-above.js';
import type { Mesh } from '../plan/plan.js';
import { once, onceForBoth, onceForObject } from '../once.js';

/** What is left to do of each sequence, in order of arrival. */
export interface SequencesInOrder {
  /** Tokens whose KV is there. */
  readonly computed: readonly number[];
  /** Whether it decodes already: its pages are on the devices. */
  readonly begun: readonly boolean[];
  /** Prompt tokens to prefill. */
  readonly prompts: readonly number[];
  /** Rows to decode: one for each token after the first. */
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
  return laidOutBy(sequences)(places).rounds;
}

/**
 * Steps in all these rounds, with no more than `pp` of a replica in flight at once: in the last rounds there are fewer
 * sequences. Replicas have them in turn.
 *
 *     rows 3, 1, 4 with 2 places and steps: 2 2 2 1 1     8 steps
 */
export function decodeSteps(
  sequences: SequencesInOrder,
  places: number,
  { dp, pp }: Pick<Mesh, 'dp' | 'pp'>,
): number {
  return stepsBy(sequences)(dp, pp)(places);
}

const stepsBy = onceForObject((sequences: SequencesInOrder) =>
  onceForBoth((dp, pp) =>
    once((places: number) => stepsOf(laidOutBy(sequences)(places), places, { dp, pp })),
  ),
);

/** Until the last of all begin, there are enough sequences for every step: those that end last are what the others come to. */
function stepsOf(
  { ends }: Pick<LaidOut, 'ends'>,
  places: number,
  { dp, pp }: Pick<Mesh, 'dp' | 'pp'>,
): number {
  let steps = 0;
  for (let replica = 0; replica < dp; replica++) {
    const last = new Float64Array(Math.min(pp, Math.ceil(places / dp)));
    for (let place = replica; place < ends.length; place += dp)
      if (ends[place]! > last[0]!) replaceFirst(last, ends[place]!);
    for (const end of last) steps += end;
  }
  return steps;
}

/** Of a workload, for all the plans that are estimated for it. */
const laidOutBy = onceForObject((sequences: SequencesInOrder) =>
  once((places: number): Pick<LaidOut, 'rounds' | 'ends'> => {
    const { rounds, ends } = layOut(sequences, places, { tokensOfRound: Infinity, inPlace: false });
    return { rounds, ends };
  }),
);

/**
 * As `decodeRounds`, where prompts are prefilled meanwhile elsewhere, one after the other, `tokensOfRound` tokens in a
 * round: a sequence begins to decode when its prompt is done.
 */
export function roundsWithPrompts(
  sequences: SequencesInOrder,
  places: number,
  tokensOfRound: number,
): number {
  return layOut(sequences, places, { tokensOfRound, inPlace: false }).rounds;
}

/** Rounds of a stage for both phases, in which prompts are prefilled and rows decoded. */
export interface RoundsInPlace {
  readonly rounds: number;
  /** Rounds until the last prompt is done. */
  readonly prompting: number;
  /** Decode rows in those rounds. */
  readonly rowsMeanwhile: number;
  /** Steps in all rounds, as `decodeSteps` has them. */
  readonly steps: (mesh: Pick<Mesh, 'dp' | 'pp'>) => number;
}

/**
 * As `roundsWithPrompts`, where each prompt waits for the place in which its sequence decodes, as in a stage for both
 * phases, and with what there is while some prompts are to come.
 *
 * @param prompted told of each prompt from which round on it is prefilled, in order, and its tokens
 */
export function roundsInPlace(
  sequences: SequencesInOrder,
  places: number,
  tokensOfRound: number,
  prompted?: (fromRound: number, tokens: number) => void,
): RoundsInPlace {
  const { prompts, begins, ends, rounds } = layOut(sequences, places, { tokensOfRound, inPlace: true });
  let [prompting, rowsMeanwhile] = [0, 0];
  for (let i = 0; i < prompts.length; i++) {
    if (prompts[i] === 0) continue;
    prompting = begins[i]!;
    prompted?.(prompting - prompts[i]! / tokensOfRound, prompts[i]!);
  }
  for (let i = 0; i < begins.length; i++)
    if (begins[i]! < prompting) rowsMeanwhile += Math.min(ends[i]!, prompting) - begins[i]!;
  return {
    rounds,
    prompting,
    rowsMeanwhile,
    steps: (mesh) => stepsOf({ ends }, places, mesh),
  };
}

/** Prompt tokens and decode rows of the sequences that have any left, in order of arrival. */
interface Lengths {
  readonly prompts: Float64Array;
  readonly rows: Float64Array;
}

const lengthsOf = onceForObject(({ prompts, rows }: SequencesInOrder): Lengths => {
  const places = rows.flatMap((each, place) => (each > 0 || prompts[place]! > 0 ? [place] : []));
  const ofPlaces = (values: readonly number[]): Float64Array =>
    Float64Array.from(places, (place) => Math.max(0, values[place]!));
  return { prompts: ofPlaces(prompts), rows: ofPlaces(rows) };
});

interface Prefill {
  readonly tokensOfRound: number;
  readonly inPlace: boolean;
}

/** When each sequence begins to decode and when it ends, in rounds, and when all have ended. */
interface LaidOut extends Lengths {
  readonly begins: Float64Array;
  readonly ends: Float64Array;
  readonly rounds: number;
}

function layOut(sequences: SequencesInOrder, most: number, { tokensOfRound, inPlace }: Prefill): LaidOut {
  const { prompts, rows } = lengthsOf(sequences);
  const count = rows.length;
  const [begins, ends] = [new Float64Array(count), new Float64Array(count)];
  /** The rounds after which those under way end: a heap, the first at the beginning. */
  const places = new Float64Array(Math.min(most, count));
  let [underWay, rounds, prefilled] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const prompt = prompts[i]!;
    const place = underWay < places.length ? 0 : places[0]!;
    let begin = place;
    if (prompt > 0) {
      if (inPlace && place > prefilled) prefilled = place;
      prefilled += prompt / tokensOfRound;
      if (prefilled > begin) begin = prefilled;
    }
    const end = begin + rows[i]!;
    begins[i] = begin;
    ends[i] = end;
    if (end > rounds) rounds = end;
    if (underWay < places.length) addLast(places, underWay++, end);
    else replaceFirst(places, end);
  }
  return { prompts, rows, begins, ends, rounds };
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

/** What sequences have beside them in a stage for both phases, where each has a prompt that waits for its place. */
export function companyOf(sequences: SequencesInOrder, places: number, tokensOfRound: number): Company {
  return companyBy(sequences)(places, tokensOfRound);
}

/** Found once for a workload, for all stages with as many places and prompt tokens in a round. */
const companyBy = onceForObject((sequences: SequencesInOrder) =>
  onceForBoth((places, tokensOfRound) =>
    companyIn(layOut(sequences, places, { tokensOfRound, inPlace: true }), tokensOfRound),
  ),
);

/** What sequences have beside them where prompts are prefilled elsewhere, and what they wait for. */
export interface CompanyApart extends Pick<Company, 'rows'> {
  /** Rounds from the first token of a sequence until it begins to decode, by each of its rows. */
  readonly waited: number;
  /** Sequences that wait so at once, in the mean over all rounds. */
  readonly waiting: number;
}

/**
 * As `companyOf`, with prompts as in `roundsWithPrompts`.
 *
 * @param handedOver prompt tokens whose KV is handed over in a round, where these are fewer than are prefilled
 */
export function companyApart(
  sequences: SequencesInOrder,
  places: number,
  tokensOfRound: number,
  handedOver: number,
): CompanyApart {
  const come = Math.min(tokensOfRound, handedOver);
  const laidOut = layOut(sequences, places, { tokensOfRound: come, inPlace: false });
  let [prefilled, waited, waiting, decoding] = [0, 0, 0, 0];
  for (const [place, rows] of laidOut.rows.entries()) {
    prefilled += laidOut.prompts[place]! / tokensOfRound;
    if (rows === 0) continue;
    const waits = Math.max(0, laidOut.begins[place]! - prefilled);
    waiting += waits;
    waited += waits / rows;
    decoding++;
  }
  return {
    rows: companyIn(laidOut, come).rows,
    waited: waited / Math.max(1, decoding),
    waiting: waiting / Math.max(1, laidOut.rounds),
  };
}

function companyIn(laidOut: LaidOut, tokensOfRound: number): Company {
  const decodes = (_: number, place: number): boolean => laidOut.rows[place]! > 0;
  const [begins, ends] = [laidOut.begins.filter(decodes), laidOut.ends.filter(decodes)];
  const decoding = begins.length;
  const { prompts, begins: prompted } = laidOut;
  const course = { begins, ends: ends.slice().sort(), prompts, prompted, tokensOfRound };
  const [atBegins, atEnds] = [sumsAt(course.begins, course), sumsAt(course.ends, course)];
  let [rowsBeside, promptsBeside] = [0, 0];
  for (let i = 0; i < decoding; i++) {
    const [rounds, last] = [ends[i]! - begins[i]!, firstAbove(course.ends, ends[i]!) - 1];
    rowsBeside += (atEnds.rows[last]! - atBegins.rows[i]!) / rounds;
    promptsBeside += (atEnds.tokens[last]! - atBegins.tokens[i]!) / rounds;
  }
  const mean = (sum: number): number => sum / Math.max(1, decoding);
  return { rows: mean(rowsBeside), promptTokens: mean(promptsBeside) };
}

/** Rounds in which sequences begin and end, and in which prompts of so many tokens are done; all in order. */
interface Rounds {
  readonly begins: Float64Array;
  readonly ends: Float64Array;
  readonly prompts: Float64Array;
  readonly prompted: Float64Array;
  readonly tokensOfRound: number;
}

/**
 * Rows, and prompt tokens, until each of some rounds: every sequence has one row in each round between its first and its last.
 * A prompt that is under way has its tokens by then.
 *
 * @param rounds in order, one for each sequence
 */
function sumsAt(
  rounds: Float64Array,
  { begins, ends, prompts, prompted, tokensOfRound }: Rounds,
): Readonly<Record<'rows' | 'tokens', Float64Array>> {
  const count = begins.length;
  const found = { rows: new Float64Array(count), tokens: new Float64Array(count) };
  let [begun, done, next] = [0, 0, 0];
  let [begunAt, doneAt, tokens] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const round = rounds[i]!;
    while (begun < count && begins[begun]! <= round) begunAt += begins[begun++]!;
    while (done < count && ends[done]! <= round) doneAt += ends[done++]!;
    while (next < prompted.length && prompted[next]! <= round) tokens += prompts[next++]!;
    const underWay = next < prompted.length ? prompts[next]! - (prompted[next]! - round) * tokensOfRound : 0;
    found.rows[i] = doneAt - begunAt + (begun - done) * round;
    found.tokens[i] = tokens + Math.max(0, underWay);
  }
  return found;
}
