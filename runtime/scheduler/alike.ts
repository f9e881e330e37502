/**
 * Finds the page that holds most of what a prompt goes on with, be it not all alike: token by token, where keys (see
 * pages.ts) tell whole pages apart only.
 *
 * Pages are sorted into bins by the key of what is before them and their first tokens, as many as make a match worth having.
 * So of all that begin a page in some way only those are looked at that may match.
 */
import type { PageKey } from './pages.js';

/** What the first slots of a page hold, behind all that `after` stands for; '' at the start of a prompt. */
export interface PageTokens {
  readonly after: PageKey;
  readonly tokens: readonly number[];
}

export interface LikePage {
  readonly page: number;
  /** So many of its first tokens are those looked for. */
  readonly tokens: number;
}

export interface AlikeIndex {
  /** Nothing, for a page of fewer tokens than a match must have. */
  add(page: number, held: PageTokens): void;
  remove(page: number): void;
  /** The page that begins with most of the tokens, of those that may be used; undefined where none has `least` of them. */
  find(wanted: PageTokens, isThere: (page: number) => boolean): LikePage | undefined;
}

/** Pages of a bin that are looked at: where thousands of prompts part at the same token, one is as good as another. */
const LOOKED_AT = 64;

/** @param least tokens that a match must have at least */
export function createAlikeIndex(least: number): AlikeIndex {
  const bins = new Map<string, Map<number, readonly number[]>>();
  const binOf = new Map<number, string>();
  const nameOf = ({ after, tokens }: PageTokens): string | undefined =>
    tokens.length < least ? undefined : `${after}|${tokens.slice(0, least).join()}`;
  return {
    add(page, held) {
      const name = nameOf(held);
      if (name === undefined) return;
      const bin = bins.get(name) ?? new Map<number, readonly number[]>();
      bins.set(name, bin.set(page, held.tokens));
      binOf.set(page, name);
    },
    remove(page) {
      const name = binOf.get(page);
      if (name === undefined) return;
      binOf.delete(page);
      const bin = bins.get(name)!;
      bin.delete(page);
      if (bin.size === 0) bins.delete(name);
    },
    find(wanted, isThere) {
      const name = nameOf(wanted);
      const bin = name === undefined ? undefined : bins.get(name);
      let best: LikePage | undefined;
      let looks = LOOKED_AT;
      for (const [page, tokens] of bin ?? []) {
        const alike = commonTokens(tokens, wanted.tokens);
        if (alike > (best?.tokens ?? 0) && isThere(page)) best = { page, tokens: alike };
        if (best?.tokens === wanted.tokens.length || --looks === 0) break;
      }
      return best;
    },
  };
}

function commonTokens(one: readonly number[], other: readonly number[]): number {
  const end = Math.min(one.length, other.length);
  let at = 0;
  while (at < end && one[at] === other[at]) at++;
  return at;
}
