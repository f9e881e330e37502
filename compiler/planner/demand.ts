/** What a workload asks of a plan, as far as bounds on its time know: sums over its requests. */

import { mostFound } from '../model/common-beginning.js';
import { firstPageSeen } from '../model/kv-window.js';
import type { KvView } from '../model/kv-window.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { heldPrompts, type HeldPrompts } from './held-prompts.js';

/** The lengths of a request, in tokens. */
export interface RequestLengths {
  readonly promptTokens: number;
  /** At least one. */
  readonly outputTokens: number;
  /** The beginning that its prompt has in common with others. */
  readonly prefix?: CommonPrefix;
}

/**
 * The part of a prompt that is of a common beginning: two prompts that name the same one agree in as many tokens as
 * both have of it.
 */
export interface CommonPrefix {
  readonly name: string;
  /** Tokens of the prompt that are of the beginning: no more than the prompt has. */
  readonly tokens: number;
}

/** What is asked for: sums over requests, and the extremes among them. */
export interface Demand {
  /** Prompts that are still to be prefilled to their end. */
  readonly requests: number;
  /**
   * Prompt tokens that must be computed. Tokens in a shared prefix count as found for every request, the first
   * included, so this is a lower bound.
   */
  readonly promptTokens: number;
  /** Pairs of a query and a key that attention computes for those tokens. */
  readonly promptPairs: number;
  /** Tokens sampled after the first of each request: rows of decode steps. */
  readonly decodeRows: number;
  /** Keys that these rows see, their own included, over all rows. */
  readonly decodeKeys: number;
  /** KV pages that hold what each row sees and that no other sequence shares, over all rows. */
  readonly decodePages: number;
  /** Requests that decode: those with more than one output token, as long as any is left. */
  readonly decoding: number;
  /** KV pages of the prompts of those requests that no other sequence shares. */
  readonly decodingPages: number;
  /** Tokens of the shortest prompt, counting those that no other request may have computed. */
  readonly shortestPrompt: number;
  /** Fewest KV pages that any one prompt has for itself (not shared, and still inside the window of the next row). */
  readonly fewestPages: number;
  /** Output tokens of the shortest answer, of the requests whose prompts are still to be prefilled. */
  readonly shortestOutput: number;
  /** Output tokens that the request with most of them has to go. */
  readonly longestOutput: number;
  /** Tokens of prompt and output together, of the longest request. */
  readonly longest: number;
  /** The same of the longest request with more than one output token; 0 without any. */
  readonly longestDecoding: number;
  /**
   * The most tokens that a prompt may have in pages shared with another: those of whole pages, as it goes on in a copy
   * of any other.
   */
  readonly longestPrefix: number;
  /** The prompts of all requests, done or not, by the pages that they need. */
  readonly prompts: HeldPrompts;
  /** How rows of the model see KV in pages. */
  readonly kv: KvView;
  /** The sequences one by one, where the order of arrival is known. */
  readonly inOrder?: SequencesInOrder;
}

/** Sums up the requests of a workload for a model whose rows see KV as `kv` has it. */
export function demandOf(requests: readonly RequestLengths[], kv: KvView): Demand {
  const { pageTokens } = kv;
  let [promptTokens, promptPairs, decodeRows, decodeKeys, decodePages] = [0, 0, 0, 0, 0];
  let [decoding, decodingPages, longest, longestDecoding, longestPrefix] = [0, 0, 0, 0, 0];
  let [shortestPrompt, shortestOutput, longestOutput, fewestPages] = [Infinity, Infinity, 0, Infinity];
  const [own, computed]: [number[], number[]] = [[], []];
  for (const { promptTokens: prompt, outputTokens: output, prefix } of requests) {
    const rows = output - 1;
    // The last token of a prompt is computed in any case.
    const found = mostFound(Math.min(prefix?.tokens ?? 0, prompt - 1), pageTokens);
    const sharedPages = Math.floor((prefix?.tokens ?? 0) / pageTokens);
    promptTokens += prompt - found;
    own.push(prompt - found);
    computed.push(found);
    promptPairs += (prompt * (prompt + 1) - found * (found + 1)) / 2;
    decodeRows += rows;
    decodeKeys += rows * prompt + (rows * (rows + 1)) / 2;
    decodePages += pagesUpTo(prompt + rows, pageTokens) - pagesUpTo(prompt, pageTokens);
    decodePages -= firstPagesUpTo(prompt + rows, sharedPages, kv) - firstPagesUpTo(prompt, sharedPages, kv);
    const ownPages = Math.ceil(prompt / pageTokens) - Math.max(sharedPages, firstPageSeen(kv, prompt));
    fewestPages = Math.min(fewestPages, ownPages);
    if (rows > 0) {
      decoding++;
      decodingPages += ownPages;
      longestDecoding = Math.max(longestDecoding, prompt + output);
    }
    longest = Math.max(longest, prompt + output);
    longestPrefix = Math.max(longestPrefix, sharedPages * pageTokens);
    shortestPrompt = Math.min(shortestPrompt, prompt - found);
    shortestOutput = Math.min(shortestOutput, output);
    longestOutput = Math.max(longestOutput, output);
  }
  return {
    promptTokens,
    promptPairs,
    decodeRows,
    decodeKeys,
    decodePages,
    requests: requests.length,
    decoding,
    decodingPages,
    longest,
    longestDecoding,
    longestPrefix,
    shortestPrompt,
    fewestPages,
    shortestOutput,
    longestOutput,
    prompts: heldPrompts(own, kv),
    kv,
    inOrder: {
      computed,
      begun: requests.map(() => false),
      prompts: own,
      rows: requests.map(({ outputTokens }) => outputTokens - 1),
    },
  };
}

/** The sum of the pages that the first 1, 2, ... up to `tokens` tokens take: whole runs of a page, and a part of one. */
function pagesUpTo(tokens: number, pageTokens: number): number {
  const whole = Math.floor(tokens / pageTokens);
  return (pageTokens * whole * (whole + 1)) / 2 + (tokens - whole * pageTokens) * (whole + 1);
}

/**
 * The sum of the first pages that rows behind 0, 1, ... up to `tokens` - 1 tokens see of their sequence alone, of which
 * `shared` ones are another's too: these, until the window begins behind them.
 *
 *     window 4, pages of 2, 1 shared: rows at 0 to 7 see from page 1, 1, 1, 1, 1, 1, 1, 2
 */
function firstPagesUpTo(tokens: number, shared: number, { pageTokens, window = Infinity }: KvView): number {
  // Up to here the window begins in a shared page.
  const behind = window + (shared + 1) * pageTokens;
  const passed = Math.max(0, tokens - behind + 1);
  if (passed === 0) return tokens * shared;
  const sum = wholePagesUpTo(tokens - window, pageTokens) - wholePagesUpTo(behind - 1 - window, pageTokens);
  return (tokens - passed) * shared + sum;
}

/** The sum of the whole pages in 1, 2, ... up to `tokens` tokens. */
function wholePagesUpTo(tokens: number, pageTokens: number): number {
  const whole = Math.floor(tokens / pageTokens);
  return (pageTokens * whole * (whole - 1)) / 2 + (tokens - whole * pageTokens + 1) * whole;
}

/** The part of a demand that prefill does. */
export function promptsOf(demand: Demand): Demand {
  const { inOrder: _inOrder, ...sums } = demand;
  const none = { decodeRows: 0, decodeKeys: 0, decodePages: 0, decoding: 0, decodingPages: 0 };
  return { ...sums, ...none, shortestOutput: 1, longestOutput: 1 };
}

/** The part of a demand that decode does. */
export function rowsOf(demand: Demand): Demand {
  return { ...demand, requests: 0, promptTokens: 0, promptPairs: 0 };
}
