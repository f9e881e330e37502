/** The requests of a simulation: drawn from a workload's distributions, or read from lines of lengths. */
import type { Length, Workload } from '../../compiler/plan/workload.js';
import { suggest } from '../../grammar/did-you-mean.js';
import { pcg, uniform } from '../kernels/random.js';
import type { SimulatedRequest } from './simulation.js';

type Drawn = Extract<Workload['requests'], { kind: 'drawn' }>;

/**
 * Draws every request of a workload. The same seed draws the same lengths. A distribution is cut where prompts leave the
 * context room for one token; a prompt of a given length is not, so that one beyond the context is told as such. Requests
 * with less of an answer than was drawn are marked as `cut`, those with less of a prompt as `promptCut`.
 */
export function drawRequests(
  { count, prompt, output, prefix }: Drawn,
  context: number,
  seed = 0,
): readonly SimulatedRequest[] {
  return Array.from({ length: count }, (_, index) => {
    const drawn = drawLength(prompt, pcg(seed), index);
    const promptTokens = prompt.kind === 'fixed' ? drawn : Math.min(drawn, context - 1);
    const wanted = drawLength(output, pcg(seed ^ 1), index);
    const outputTokens = promptTokens < context ? Math.min(wanted, context - promptTokens) : wanted;
    const tokens = Math.min(prefix ?? 0, promptTokens);
    return {
      promptTokens,
      outputTokens,
      ...(tokens > 0 && { prefix: { name: '', tokens } }),
      ...(outputTokens < wanted && { cut: true }),
      ...(promptTokens < drawn && { promptCut: true }),
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

/** A place in the text, lines and columns from 1, and what is wrong there. */
export interface LengthsProblem {
  readonly line: number;
  readonly column: number;
  readonly why: string;
}

/** The requests of a text, or what is wrong with it. */
export type ParsedLengths =
  | {
      readonly kind: 'requests';
      readonly requests: readonly SimulatedRequest[];
      /** Fields of lines that mean nothing here, where there are some. */
      readonly ignored?: readonly [string, ...string[]];
    }
  | { readonly kind: 'problems'; readonly problems: readonly [LengthsProblem, ...LengthsProblem[]] };

/** Names under which a line may give its lengths; the first is the documented one. */
const PROMPT_KEYS = ['prompt_tokens', 'prompt'];
const OUTPUT_KEYS = ['output_tokens', 'completion_tokens', 'output'];
const KEYS = [...PROMPT_KEYS, ...OUTPUT_KEYS, 'prefix_tokens', 'prefix'];

/**
 * Reads JSON lines such as `{"prompt_tokens": 120, "output_tokens": 30}`, with `"prefix_tokens": 100` where a prompt begins
 * like others, and `"prefix": "a"` where there are several such beginnings; empty lines and a byte order mark
 * are skipped. A field that is not known is ignored, but for one that is nearly one of these.
 */
export function parseLengths(text: string): ParsedLengths {
  const requests: SimulatedRequest[] = [];
  const problems: LengthsProblem[] = [];
  const ignored = new Set<string>();
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue;
    const parsed = parseLine(line, ignored);
    if ('why' in parsed) problems.push({ line: index + 1, column: parsed.at + 1, why: parsed.why });
    else requests.push(parsed);
  }
  const none = { line: 1, column: 1, why: 'the file holds no request' };
  const [first = requests.length === 0 ? none : undefined, ...others] = problems;
  const [unknown, ...further] = ignored;
  return first === undefined
    ? { kind: 'requests', requests, ...(unknown !== undefined && { ignored: [unknown, ...further] }) }
    : { kind: 'problems', problems: [first, ...others] };
}

/** What is wrong with a line, from the character `at` on. */
interface LineProblem {
  readonly at: number;
  readonly why: string;
}

function parseLine(line: string, ignored: Set<string>): SimulatedRequest | LineProblem {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return { at: brokenAt(line, (error as Error).message), why: 'the line is not JSON' };
  }
  const given = (typeof value === 'object' && value !== null ? value : {}) as Readonly<
    Record<string, unknown>
  >;
  const problem = (keys: readonly string[], why: string): LineProblem => ({ at: valueAt(line, keys), why });
  for (const key of Object.keys(given).filter((each) => !KEYS.includes(each))) {
    const near = suggest(key, KEYS);
    if (near !== undefined) {
      const at = Math.max(lineStart(line), line.indexOf(JSON.stringify(key)));
      return { at, why: `there is no \`${key}\`; did you mean \`${near}\`?` };
    }
    ignored.add(key);
  }
  const length = (keys: readonly string[]): number | undefined => {
    const found = keys.map((key) => given[key]).find((v) => v !== undefined);
    return Number.isInteger(found) && (found as number) >= 1 ? (found as number) : undefined;
  };
  const [promptTokens, outputTokens] = [length(PROMPT_KEYS), length(OUTPUT_KEYS)];
  if (promptTokens === undefined)
    return problem(PROMPT_KEYS, '`prompt_tokens` must be a whole number of at least 1');
  if (outputTokens === undefined)
    return problem(OUTPUT_KEYS, '`output_tokens` must be a whole number of at least 1');
  const { prefix: name = '', prefix_tokens: tokens = 0 } = given;
  if (typeof name !== 'string')
    return problem(['prefix'], '`prefix` must be a text: the name of what prompts begin with');
  if (!Number.isInteger(tokens) || (tokens as number) < 0 || (tokens as number) > promptTokens)
    return problem(
      ['prefix_tokens'],
      '`prefix_tokens` must be a whole number, and no more than the prompt has',
    );
  if (name !== '' && tokens === 0)
    return problem(['prefix'], '`prefix` wants `prefix_tokens`: how many tokens of it the prompt has');
  return { promptTokens, outputTokens, ...(tokens !== 0 && { prefix: { name, tokens: tokens as number } }) };
}

const lineStart = (line: string): number => line.search(/\S/);

/** Where the value of the first of the keys that the line has begins; the start of a line that has none. */
function valueAt(line: string, keys: readonly string[]): number {
  for (const key of keys) {
    const found = new RegExp(`"${key}"\\s*:\\s*`).exec(line);
    if (found) return found.index + found[0].length;
  }
  return lineStart(line);
}

/** Where a line stops being JSON, as far as the parser's own message tells. */
function brokenAt(line: string, message: string): number {
  const position = /at position (\d+)/.exec(message)?.[1];
  if (position !== undefined) return Number(position);
  return message.includes('end of JSON') ? line.trimEnd().length : lineStart(line);
}
