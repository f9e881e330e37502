/**
 * Paths of places (`node[2].gpu[5]`, `host`) and patterns over them (`node[0..7].gpu`, `node[*]`). A topology holds
 * them as text so that it prints and serialises; this file is the only one that takes the text apart.
 */
export interface PathPart {
  readonly name: string;
  /** Both inclusive; absent where the text has no index, which a pattern takes to mean all. */
  readonly first?: number;
  readonly last?: number;
}

const PART = /^([A-Za-z_]\w*)(?:\[(\*|\d+)(?:\.\.(\d+))?\])?$/;

/**
 * Parts of a path or pattern; `''` has none.
 *
 * @throws for text that is no path: names are checked where they are declared
 */
export function parsePath(path: string): readonly PathPart[] {
  if (path === '') return [];
  return splitParts(path).map((part) => {
    const match = PART.exec(part);
    if (!match) throw new Error(`not a path of a topology: ${path}`);
    const name = match[1]!;
    if (match[2] === undefined || match[2] === '*') return { name };
    return { name, first: Number(match[2]), last: Number(match[3] ?? match[2]) };
  });
}

/** Splits at the dots between parts, not at those of a range. */
function splitParts(path: string): readonly string[] {
  return path.split(/\.(?=[A-Za-z_])/);
}

/** Text of a path or pattern. */
export function printPath(parts: readonly PathPart[]): string {
  return parts
    .map(({ name, first, last }) =>
      first === undefined ? name : last === first ? `${name}[${first}]` : `${name}[${first}..${last}]`,
    )
    .join('.');
}

/** The pattern of a place and of those that are declared with it: `node[*].gpu[*]` of `node[2].gpu[5]`. */
export function declaredPattern(path: string): string {
  return parsePath(path)
    .map(({ name, first }) => (first === undefined ? name : `${name}[*]`))
    .join('.');
}

/** Whether a pattern part takes in a part of a place. */
export function partMatches(pattern: PathPart, place: PathPart): boolean {
  if (pattern.name !== place.name) return false;
  if (pattern.first === undefined) return true;
  const index = place.first ?? 0;
  return index >= pattern.first && index <= (pattern.last ?? pattern.first);
}

/** Whether the leading parts of `place` are matched by `pattern`. */
export function matchesPrefix(pattern: readonly PathPart[], place: readonly PathPart[]): boolean {
  return pattern.length <= place.length && pattern.every((part, i) => partMatches(part, place[i]!));
}

/** The path of a place inside another one; `''` is the topology itself. */
export function pathWithin(outer: string, inner: string): string {
  return outer === '' ? inner : `${outer}.${inner}`;
}
