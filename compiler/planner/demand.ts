/** What a workload asks for, as far as bounds on its time know: sums over its requests. */

import { mostFound } from '../model/common-beginning.js';
import { firstPageSeen } from '../model/kv-window.js';
import type { KvView } from '../model/kv-window.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { heldPrompts, repeatedPrompts, type HeldPrompts } from './held-prompts.js';

export interface RequestLengths {
  readonly promptTokens: number;
  /** At least one. */
  readonly outputTokens: number;
  readonly prefix?: CommonPrefix;
}

/** Prompts that name the same beginning agree in as many tokens as each of two has of it. */
export interface CommonPrefix {
  readonly name: string;
  /** No more than the prompt has. */
  readonly tokens: number;
}

export interface Demand {
  /** Prompts that are to be ended. */
  readonly requests: number;
  /** Tokens of prompts, but for those that others have computed as well: without the first of these, so at least. */
  readonly promptTokens: number;
  /** Pairs of a query and a key in these. */
  readonly promptPairs: number;
  /** Tokens sampled after the first of each request: rows of decode steps. */
  readonly decodeRows: number;
  /** Keys up to these rows, their own included, and pages that hold what they see for one sequence alone. */
  readonly decodeKeys: number;
  readonly decodePages: number;
  /**
   * Requests that decode: those with more than one token, as long as any is left. And pages of their prompts that are
   * theirs alone.
   */
  readonly decoding: number;
  readonly decodingPages: number;
  /** Of tokens that no other may have computed. */
  readonly shortestPrompt: number;
  /** Pages of a prompt that are no other's too, as far as a row behind it sees them: of that with the fewest. */
  readonly fewestPages: number;
  /** Of the requests with prompts that are to be ended. */
  readonly shortestOutput: number;
  /** Of the request that has most of them to go. */
  readonly longestOutput: number;
  /** Tokens of prompt and output together: of any request, and of those with more than one token of output. */
  readonly longest: number;
  readonly longestDecoding: number;
  /** Tokens that a prompt may have in pages of another: whole ones, as it goes on in a copy of any other. */
  readonly longestPrefix: number;
  /** Prompts of all requests, done or not. */
  readonly prompts: HeldPrompts;
  readonly kv: KvView;
  /** Where the order of arrival is known. */
  readonly inOrder?: SequencesInOrder;
}

/** Sums up the requests of a workload for a model that sees KV so. */
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
    ...{ promptTokens, promptPairs, decodeRows, decodeKeys, decodePages },
    ...{
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

/** What of a demand is for prefill. */
export function promptsOf(demand: Demand): Demand {
  const { inOrder: _inOrder, ...sums } = demand;
  const none = { decodeRows: 0, decodeKeys: 0, decodePages: 0, decoding: 0, decodingPages: 0 };
  return { ...sums, ...none, shortestOutput: 1, longestOutput: 1 };
}

/** What of a demand is for decode. */
export function rowsOf(demand: Demand): Demand {
  return { ...demand, requests: 0, promptTokens: 0, promptPairs: 0 };
}

/** The demand of so many times as many requests. */
export function repeated(demand: Demand, times: number): Demand {
  const { inOrder: _inOrder, ...sums } = demand;
  return {
    ...sums,
    requests: demand.requests * times,
    promptTokens: demand.promptTokens * times,
    promptPairs: demand.promptPairs * times,
    decodeRows: demand.decodeRows * times,
    decodeKeys: demand.decodeKeys * times,
    decodePages: demand.decodePages * times,
    decoding: demand.decoding * times,
    decodingPages: demand.decodingPages * times,
    prompts: repeatedPrompts(demand.prompts, times),
  };
}
