/**
 * Prompts that are prefilled on devices of their own, as those see them that decode their sequences. Times are in seconds.
 */
import type { SequencesInOrder } from './decode-rounds.js';
import type { PromptCourse, PromptSteps } from './prompt-course.js';
import { pagesOf } from './prompt-line.js';

/** When sequences come to decode, by their index in the order of arrival. */
export interface PromptsBeside {
  /** When each has its first token. */
  readonly first: ArrayLike<number>;
  /** When its KV is there to begin. */
  readonly ready: ArrayLike<number>;
  /**
   * Steps of prefill that are prepared by the host of decode, which has to give them their turn: both of the above are known
   * of what they return, and of what has no prompt. Absent: of all from the beginning.
   */
  readonly steps?: Pick<PromptSteps, 'asks' | 'goOn'>;
}

/**
 * Prompts whose course is known.
 *
 * @param pageSeconds of a KV page from the hosts beside prefill to those beside decode, where pages go one after the other
 */
export function promptsBeside(
  { ends, sent }: Pick<PromptCourse, 'ends' | 'sent'>,
  sequences: SequencesInOrder,
  pageTokens: number,
  pageSeconds: number,
): PromptsBeside {
  if (pageSeconds === 0) return { first: ends, ready: sent };
  const ready = new Float64Array(sent.length);
  const handOver = handingOver(sequences, pageTokens, pageSeconds);
  for (let index = 0; index < ready.length; index++) ready[index] = handOver(index, sent[index]!);
  return { first: ends, ready };
}

/** The same of prompts whose steps wait for those of decode, and these for them. */
export function promptsMeanwhile(
  steps: PromptSteps,
  sequences: SequencesInOrder,
  pageTokens: number,
  pageSeconds: number,
): PromptsBeside {
  const { ends, sent } = steps.course();
  if (pageSeconds === 0) return { first: ends, ready: sent, steps };
  const ready = new Float64Array(sent.length);
  const handOver = handingOver(sequences, pageTokens, pageSeconds);
  const isSent = sequences.prompts.map((tokens) => tokens <= 0);
  let next = 0;
  return {
    first: ends,
    ready,
    steps: {
      asks: steps.asks,
      goOn() {
        for (const index of steps.goOn()) isSent[index] = true;
        const known: number[] = [];
        for (; isSent[next] === true; next++) {
          ready[next] = handOver(next, sent[next]!);
          if (sequences.prompts[next]! > 0) known.push(next);
        }
        return known;
      },
    },
  };
}

/**
 * Seconds at which the pages of a prompt are with the hosts beside decode, by when they are with those beside prefill. Asked
 * in order of arrival, as they go from host to host one after the other.
 */
function handingOver(
  { computed, prompts, rows }: SequencesInOrder,
  pageTokens: number,
  pageSeconds: number,
): (index: number, sent: number) => number {
  let free = 0;
  return (index, sent) => {
    if (rows[index] === 0) return sent;
    const pages = pagesOf({ computed, prompts }, index, pageTokens);
    return (free = Math.max(free, sent) + pages * pageSeconds);
  };
}
