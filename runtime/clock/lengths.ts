/** The requests of a simulation: drawn from a workload's distributions, or read from lines of lengths. */
import type { Length, Workload } from '../../compiler/plan/workload.js';
import { pcg, uniform } from '../kernels/random.js';
import type { SimulatedRequest } from './simulation.js';

type Drawn = Extract<Workload['requests'], { kind: 'drawn' }>;

/**
 * Draws every request of a workload. The same seed draws the same lengths; a sequence is never longer than the context,
 * prompts are cut to leave room for one token. Requests with less of an answer than was drawn are marked as `cut`.
 */
export function drawRequests(
  { count, prompt, output, prefix }: Drawn,
  context: number,
  seed = 0,
): readonly SimulatedRequest[] {
  return Array.from({ length: count }, (_, index) => {
    const promptTokens = Math.min(drawLength(prompt, pcg(seed), index), context - 1);
    const wanted = drawLength(output, pcg(seed ^ 1), index);
    const outputTokens = Math.min(wanted, context - promptTokens);
    const tokens = Math.min(prefix ?? 0, promptTokens);
    return {
      promptTokens,
      outputTokens,
      ...(tokens > 0 && { prefix: { name: '', tokens } }),
      ...(outputTokens < wanted && { cut: true }),
    };
  });
}

/** At least one token. */
function drawLength(length: Length, seed: number, index: number): number {
  switch (length.kind) {
    case 'fixed':
      return length.tokens;
    case 'uniform':
      return atLeastOne(length.low + Math.floor(uniform(seed, index) * (length.high - length.low + 1)));
    case 'normal':
      return atLeastOne(length.mean + length.deviation * standardNormal(seed, index));
    case 'lognormal': {
      // The mean and deviation are of the lengths themselves, not of their logarithms.
      const variance = Math.log(1 + (length.deviation / length.mean) ** 2);
      const location = Math.log(length.mean) - variance / 2;
      return atLeastOne(Math.exp(location + Math.sqrt(variance) * standardNormal(seed, index)));
    }
  }
}

const atLeastOne = (tokens: number): number => Math.max(1, Math.round(tokens));

/** Box and Muller's transform of two uniform draws. */
function standardNormal(seed: number, index: number): number {
  const radius = Math.sqrt(-2 * Math.log1p(-uniform(seed, 2 * index)));
  return radius * Math.cos(2 * Math.PI * uniform(seed, 2 * index + 1));
}

export type ParsedLengths =
  | { readonly kind: 'requests'; readonly requests: readonly SimulatedRequest[] }
  | { readonly kind: 'problem'; readonly line: number; readonly why: string };

/** Names under which a line may give its lengths; the first is the documented one. */
const PROMPT_KEYS = ['prompt_tokens', 'prompt'];
const OUTPUT_KEYS = ['output_tokens', 'completion_tokens', 'output'];

/**
 * Reads JSON lines such as `{"prompt_tokens": 120, "output_tokens": 30}`, with `"prefix_tokens": 100` where a prompt begins
 * like others, and `"prefix": "a"` where there are several such beginnings; empty lines and a byte order mark
 * are skipped.
 */
export function parseLengths(text: string): ParsedLengths {
  const requests: SimulatedRequest[] = [];
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue;
    const request = parseLine(line);
    if (typeof request === 'string') return { kind: 'problem', line: index + 1, why: request };
    requests.push(request);
  }
  if (requests.length === 0) return { kind: 'problem', line: 1, why: 'the file holds no request' };
  return { kind: 'requests', requests };
}

function parseLine(line: string): SimulatedRequest | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'the line is not JSON';
  }
  const length = (keys: readonly string[]): number | undefined => {
    const found = keys
      .map((key) => (value as Record<string, unknown> | null)?.[key])
      .find((v) => v !== undefined);
    return Number.isInteger(found) && (found as number) >= 1 ? (found as number) : undefined;
  };
  const [promptTokens, outputTokens] = [length(PROMPT_KEYS), length(OUTPUT_KEYS)];
  if (promptTokens === undefined) return '`prompt_tokens` must be a whole number of at least 1';
  if (outputTokens === undefined) return '`output_tokens` must be a whole number of at least 1';
  const { prefix: name = '', prefix_tokens: tokens = 0 } = value as Record<string, unknown>;
  if (typeof name !== 'string') return '`prefix` must be a text: the name of what prompts begin with';
  if (!Number.isInteger(tokens) || (tokens as number) < 0 || (tokens as number) > promptTokens)
    return '`prefix_tokens` must be a whole number, and no more than the prompt has';
  if (name !== '' && tokens === 0)
    return '`prefix` wants `prefix_tokens`: how many tokens of it the prompt has';
  return { promptTokens, outputTokens, ...(tokens !== 0 && { prefix: { name, tokens: tokens as number } }) };
}
