/**
 * The reference sampler: a row of logits, what a request asks for and what came before in; the next token and its
 * log-probability out, in f64 and in the plainest words. Written from the published definitions (OpenAI's penalties,
 * CTRL's repetition penalty, vLLM's order of steps), not from the code under test.
 */
import { gumbel, uniform } from '../../runtime/kernels/random.js';

export interface SamplerRequest {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly repetitionPenalty: number;
  readonly logitBias: ReadonlyMap<number, number>;
  readonly minTokens: number;
  readonly endIds: readonly number[];
  /** All are, where absent. */
  readonly allowed?: ReadonlySet<number>;
}

/** Logits after everything that comes before temperature. */
export function adjustedLogits(
  logits: ArrayLike<number>,
  request: SamplerRequest,
  prompt: readonly number[],
  answer: readonly number[],
): number[] {
  return Array.from(logits, (logit, id) => {
    if (request.allowed !== undefined && !request.allowed.has(id)) return -Infinity;
    if (answer.length < request.minTokens && request.endIds.includes(id)) return -Infinity;
    let value = logit + (request.logitBias.get(id) ?? 0);
    if (prompt.includes(id) || answer.includes(id)) {
      value = value > 0 ? value / request.repetitionPenalty : value * request.repetitionPenalty;
    }
    const count = answer.filter((token) => token === id).length;
    value -= request.frequencyPenalty * count;
    if (count > 0) value -= request.presencePenalty;
    return value;
  });
}

/** Ids that could come, each with the score the draw compares, best first. The first is drawn. */
export function scoredTokens(
  adjusted: readonly number[],
  request: SamplerRequest,
  position: number,
): readonly { readonly id: number; readonly score: number }[] {
  const { temperature, topK, topP, minP, seed } = request;
  const order = adjusted
    .map((logit, id) => ({ id, logit }))
    .filter(({ logit }) => logit > -Infinity)
    .sort((a, b) => b.logit - a.logit || a.id - b.id);
  const scored = (score: (token: { id: number; logit: number }) => number) =>
    order
      .map((token) => ({ id: token.id, score: score(token) }))
      .sort((a, b) => b.score - a.score || a.id - b.id);
  if (temperature === 0 || topK === 1) return scored(({ logit }) => logit);
  if (topK === 0 && topP === 1 && minP === 0) {
    return scored(({ id, logit }) => logit / temperature + gumbel(seed, position, id));
  }
  const weight = ({ logit }: { logit: number }): number => Math.exp((logit - order[0]!.logit) / temperature);
  const total = (tokens: readonly { logit: number }[]): number =>
    tokens.reduce((sum, token) => sum + weight(token), 0);
  const best = topK > 0 ? order.slice(0, topK) : order;
  const mass = total(best);
  const nucleus = best.filter((_, i) => i === 0 || topP === 1 || total(best.slice(0, i)) < topP * mass);
  const kept = nucleus.filter((token) => weight(token) >= minP);
  // The draw: the token in whose part of the unit interval the uniform number falls.
  const point = uniform(seed, position) * total(kept);
  return kept
    .map((token, i) => {
      const [from, to] = [total(kept.slice(0, i)), total(kept.slice(0, i + 1))];
      return { id: token.id, score: Math.min(point - from, to - point) };
    })
    .sort((a, b) => b.score - a.score);
}

/** Log-probability of a token in the model's own distribution. */
export function plainLogprob(logits: ArrayLike<number>, id: number): number {
  const max = Math.max(...Array.from(logits));
  return (
    logits[id]! - max - Math.log(Array.from(logits).reduce((sum, logit) => sum + Math.exp(logit - max), 0))
  );
}
