/**
 * What a request changes about its logits before a token is drawn: bias, penalties, and tokens that may not come yet.
 *
 * Semantics are those of OpenAI and vLLM. The bias is added first. The repetition penalty r then divides positive
 * logits by r and multiplies others by it, for every token of prompt and answer (CTRL, arXiv 1909.05858). Last,
 * `frequency * count + presence` is taken off every token that the answer so far has. Temperature and filters come after.
 * Log-probabilities are reported without any of it, as the model gives them: vLLM's `raw_logprobs`, its default.
 */
import { BANNED_LOGIT } from '../kernels/kernel.js';

export interface LogitAdjustments {
  /** Added per occurrence in the answer, with a minus sign. */
  readonly frequencyPenalty: number;
  /** The same once, for tokens that occur in the answer at all. */
  readonly presencePenalty: number;
  /** Above 0; 1 is off. */
  readonly repetitionPenalty: number;
  /** By token id. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Until the answer has this many tokens, `ids` do not come. */
  readonly minTokens: { readonly count: number; readonly ids: readonly number[] };
}

/** The change of one logit: `scaled(logit + bias) - penalty`. */
export interface Adjustment {
  readonly id: number;
  readonly bias: number;
  readonly repetition: number;
  readonly penalty: number;
}

/** Follows one answer and says how the logits of its next token change. */
export interface LogitAdjuster {
  readonly push: (id: number) => void;
  /** The token may not come yet. One that is drawn all the same was the best of none. */
  readonly bans: (id: number) => boolean;
  /** Changes for the next token, one per id; ids that stay as they are may be missing. */
  readonly adjustments: () => readonly Adjustment[];
  /** The logit of a token as it was before adjustments; not for banned tokens. */
  readonly original: (id: number, adjusted: number) => number;
}

const UNCHANGED = { bias: 0, repetition: 1, penalty: 0 };

export function createLogitAdjuster(wanted: LogitAdjustments, promptIds: readonly number[]): LogitAdjuster {
  const { frequencyPenalty, presencePenalty, repetitionPenalty, logitBias, minTokens } = wanted;
  const repeated = new Set(repetitionPenalty === 1 ? [] : promptIds);
  /** Occurrences in the answer. */
  const counts = new Map<number, number>();
  let generated = 0;
  const bans = (id: number): boolean => generated < minTokens.count && minTokens.ids.includes(id);
  const adjustmentOf = (id: number): Adjustment => {
    const count = counts.get(id) ?? 0;
    const penalty = count === 0 ? 0 : frequencyPenalty * count + presencePenalty;
    return {
      id,
      bias: logitBias.get(id) ?? 0,
      repetition: count > 0 || repeated.has(id) ? repetitionPenalty : 1,
      penalty: bans(id) ? -BANNED_LOGIT : penalty,
    };
  };
  return {
    push(id) {
      generated++;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    },
    bans,
    adjustments() {
      const early = generated < minTokens.count ? minTokens.ids : [];
      const ids = new Set([...logitBias.keys(), ...repeated, ...counts.keys(), ...early]);
      return Array.from(ids, adjustmentOf).filter(changes);
    },
    original(id, adjusted) {
      const { bias, repetition, penalty } = adjustmentOf(id);
      const scaled = adjusted + penalty;
      return (scaled > 0 ? scaled * repetition : scaled / repetition) - bias;
    },
  };
}

function changes({ bias, repetition, penalty }: Adjustment): boolean {
  return bias !== UNCHANGED.bias || repetition !== UNCHANGED.repetition || penalty !== UNCHANGED.penalty;
}
