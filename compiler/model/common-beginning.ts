/**
 * What prompts that begin alike need not compute: whole pages, which they share, and the first tokens of a page, which one
 * goes on behind in a copy. A copy moves a whole page, however little of it is alike: less than a quarter is computed again.
 */

/** Tokens that prompts have in common of a page at least where one goes on in a copy of the other's. */
export function leastCopied(pageTokens: number): number {
  return Math.ceil(pageTokens / 4);
}

/** Tokens, of so many that a prompt begins with as others do, that it finds computed at most. */
export function mostFound(tokens: number, pageTokens: number): number {
  const ofPage = tokens % pageTokens;
  return ofPage < leastCopied(pageTokens) ? tokens - ofPage : tokens;
}
