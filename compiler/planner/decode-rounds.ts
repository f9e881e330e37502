/** Rounds of decode where sequences take their turn in order of arrival. In a round each that is under way has one row. */
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
 * Rounds until all rows are done, with no more than `slots` sequences under way at once: each begins as soon as one
 * before it has made room.
 *
 *     rows 3, 1, 4 with 2 slots: 3 . .
 *                                1 4 4 4 4     5 rounds
 */
export function decodeRounds(sequences: SequencesInOrder, slots: number): number {
  return laidOutBy(sequences)(slots).rounds;
}

/**
 * Steps in all these rounds, with no more than `pp` of a replica in flight at once: in the last rounds there are fewer
 * sequences. Replicas have them in turn.
 *
 *     rows 3, 1, 4 with 2 slots and steps: 2 2 2 1 1     8 steps
 */
export function decodeSteps(
  sequences: SequencesInOrder,
  slots: number,
  { dp, pp }: Pick<Mesh, 'dp' | 'pp'>,
): number {
  return stepsBy(sequences)(dp, pp)(slots);
}

const stepsBy = onceForObject((sequences: SequencesInOrder) =>
  onceForBoth((dp, pp) => once((slots: number) => stepsOf(laidOutBy(sequences)(slots), slots, { dp, pp }))),
);

/** Until the last of all begin, there are enough sequences for every step: those that end last are what the others come to. */
function stepsOf(
  { ends }: Pick<LaidOut, 'ends'>,
  slots: number,
  { dp, pp }: Pick<Mesh, 'dp' | 'pp'>,
): number {
  let steps = 0;
  for (let replica = 0; replica < dp; replica++) {
    /** Those that end last: a heap, the first of them to end at the beginning. */
    const last = new Int32Array(Math.min(pp, Math.ceil(slots / dp)));
    let size = 0;
    for (let index = replica; index < ends.length; index += dp)
      if (size < last.length) addLast(last, size++, index, ends);
      else if (ends[index]! > ends[last[0]!]!) replaceFirst(last, size, index, ends);
    for (let i = 0; i < size; i++) steps += ends[last[i]!]!;
  }
  return steps;
}

/** Of a workload, for all the plans that are estimated for it. */
const laidOutBy = onceForObject((sequences: SequencesInOrder) =>
  once((slots: number): Pick<LaidOut, 'rounds' | 'ends'> => {
    const { rounds, ends } = layOut(sequences, slots, { tokensOfRound: Infinity, inPlace: false });
    return { rounds, ends };
  }),
);

/**
 * As `decodeRounds`, where prompts are prefilled meanwhile elsewhere, one after the other, `tokensOfRound` tokens in a
 * round: a sequence begins to decode when its prompt is done.
 */
export function roundsWithPrompts(sequences: SequencesInOrder, slots: number, tokensOfRound: number): number {
  return layOut(sequences, slots, { tokensOfRound, inPlace: false }).rounds;
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
 * As `roundsWithPrompts`, where each prompt waits for the slot in which its sequence decodes, as in a stage for both
 * phases, and with what there is while some prompts are to come.
 *
 * @param prompted told of each prompt from which round on it is prefilled, in order, and its tokens
 */
export function roundsInPlace(
  sequences: SequencesInOrder,
  slots: number,
  tokensOfRound: number,
  prompted?: (fromRound: number, tokens: number) => void,
): RoundsInPlace {
  const { prompts, begins, ends, rounds } = layOut(sequences, slots, { tokensOfRound, inPlace: true });
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
    steps: (mesh) => stepsOf({ ends }, slots, mesh),
  };
}

/** Prompt tokens and decode rows of the sequences that have any left, in order of arrival. */
interface Lengths {
  readonly prompts: Float64Array;
  readonly rows: Float64Array;
}

const lengthsOf = onceForObject(({ prompts, rows }: SequencesInOrder): Lengths => {
  const left = rows.flatMap((each, index) => (each > 0 || prompts[index]! > 0 ? [index] : []));
  const ofLeft = (values: readonly number[]): Float64Array =>
    Float64Array.from(left, (index) => Math.max(0, values[index]!));
  return { prompts: ofLeft(prompts), rows: ofLeft(rows) };
});

/** How prompts are prefilled: so many tokens in a round, and whether each waits for the slot of its sequence. */
export interface Prefill {
  readonly tokensOfRound: number;
  readonly inPlace: boolean;
}

/** When each sequence begins to decode and when it ends, in rounds, and when all have ended. */
export interface LaidOut extends Lengths {
  readonly begins: Float64Array;
  readonly ends: Float64Array;
  readonly rounds: number;
}

/**
 * Lays sequences out in rounds.
 *
 * @param ended told of all sequences, by their index, in the order in which they end
 */
export function layOut(
  sequences: SequencesInOrder,
  most: number,
  { tokensOfRound, inPlace }: Prefill,
  ended?: (index: number) => void,
): LaidOut {
  const { prompts, rows } = lengthsOf(sequences);
  const count = rows.length;
  const [begins, ends] = [new Float64Array(count), new Float64Array(count)];
  /** Those under way: a heap, the first to end at the beginning. */
  const underWay = new Int32Array(Math.min(most, count));
  let [size, rounds, prefilled] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const prompt = prompts[i]!;
    const isFull = size === underWay.length;
    const free = isFull ? ends[underWay[0]!]! : 0;
    let begin = free;
    if (prompt > 0) {
      if (inPlace && free > prefilled) prefilled = free;
      prefilled += prompt / tokensOfRound;
      if (prefilled > begin) begin = prefilled;
    }
    const end = begin + rows[i]!;
    begins[i] = begin;
    ends[i] = end;
    if (end > rounds) rounds = end;
    if (isFull) {
      ended?.(underWay[0]!);
      replaceFirst(underWay, size, i, ends);
    } else addLast(underWay, size++, i, ends);
  }
  if (ended)
    while (size > 0) {
      ended(underWay[0]!);
      replaceFirst(underWay, --size, underWay[size]!, ends);
    }
  return { prompts, rows, begins, ends, rounds };
}

function addLast(heap: Int32Array, size: number, added: number, ends: Float64Array): void {
  const end = ends[added]!;
  let at = size;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (ends[heap[parent]!]! <= end) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = added;
}

function replaceFirst(heap: Int32Array, size: number, added: number, ends: Float64Array): void {
  const end = ends[added]!;
  let at = 0;
  for (let child = 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && ends[heap[child + 1]!]! < ends[heap[child]!]!) child++;
    if (ends[heap[child]!]! >= end) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = added;
}
