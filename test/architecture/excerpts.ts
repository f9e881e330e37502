/** Excerpts of printed texts in the docs, and what of them is not in the whole. */

export interface Fence {
  readonly info: string;
  readonly text: string;
}

/** Fenced blocks of a page. */
export function fencesOf(page: string): readonly Fence[] {
  return [...page.matchAll(/^```([^\n]+)\n(.*?)^```$/gms)].map((match) => ({
    info: match[1]!,
    text: match[2]!,
  }));
}

/**
 * Lines of an excerpt that the whole text does not have at that place: runs of spaces count as one, a line `…` skips
 * lines and `…` at the end of a line skips its rest.
 */
export function strayLines(excerpt: string, whole: string): readonly string[] {
  const plain = (line: string): string => line.trim().replace(/ +/g, ' ');
  const lines = whole.split('\n').map(plain);
  let next = 0;
  return excerpt.split('\n').filter((line) => {
    const wanted = plain(line);
    if (wanted === '' || wanted === '…') return false;
    const start = wanted.endsWith('…') ? wanted.slice(0, -1).trimEnd() : undefined;
    const at = lines.findIndex(
      (candidate, index) =>
        index >= next && (start === undefined ? candidate === wanted : candidate.startsWith(start)),
    );
    if (at >= 0) next = at + 1;
    return at < 0;
  });
}
