/** Names of many places in few words, and from how many on they are drawn as one. */
import { groupBy } from '../group-by.js';
import { parsePath, printPath, type PathPart } from './places.js';

/** Devices up to which drawings have each by itself. */
export const DRAWN_ALONE = 16;

/** Ranges named before the rest is counted. */
const RANGES_NAMED = 3;

interface Range {
  readonly parts: readonly PathPart[];
  /** Places in it. */
  readonly count: number;
}

/**
 * Places as ranges of their indices, in order: `node[0..7].gpu[0..3]`. Many ranges are cut short: `gpu[0], gpu[8],
 * gpu[16] and 5 more`.
 */
export function rangesOf(paths: readonly string[]): string {
  const ranges = mergedPaths(paths);
  const named = ranges.slice(0, RANGES_NAMED).map(({ parts }) => printPath(parts));
  const left = ranges.slice(RANGES_NAMED).reduce((sum, { count }) => sum + count, 0);
  return named.join(', ') + (left > 0 ? ` and ${left} more` : '');
}

/** The ranges of indices that take in these places and no others. */
export function patternsOf(paths: readonly string[]): readonly (readonly PathPart[])[] {
  return mergedPaths(paths).map(({ parts }) => parts);
}

function mergedPaths(paths: readonly string[]): readonly Range[] {
  return merged(paths.map((path) => ({ parts: parsePath(path), count: 1 })));
}

/** Joins runs of the last index, then those that are alike in it by what stands before. */
function merged(places: readonly Range[]): readonly Range[] {
  if (places.some(({ parts }) => parts.length === 0)) return places;
  const outer = ({ parts }: Range): string => printPath(parts.slice(0, -1));
  const last = ({ parts }: Range): PathPart => parts.at(-1)!;
  const runs = [...groupBy(places, (place) => `${outer(place)} ${last(place).name}`).values()].flatMap(
    joinRuns,
  );
  const alike = [...groupBy(runs, (run) => `${printPath([last(run)])} ${run.parts.length}`).values()];
  return alike.flatMap((members) => {
    if (members.length === 1) return members;
    const before = merged(members.map(({ parts, count }) => ({ parts: parts.slice(0, -1), count })));
    return before.map(({ parts, count }) => ({ parts: [...parts, last(members[0]!)], count }));
  });
}

/** Places that differ in the last index alone. */
function joinRuns(places: readonly Range[]): readonly Range[] {
  const runs: Range[] = [];
  for (const place of places) {
    const [end, run] = [place.parts.at(-1)!, runs.at(-1)];
    const before = run?.parts.at(-1);
    if (run === undefined || before?.last === undefined || end.first !== before.last + 1) runs.push(place);
    else {
      const parts = [...run.parts.slice(0, -1), { ...before, last: end.last! }];
      runs[runs.length - 1] = { parts, count: run.count + place.count };
    }
  }
  return runs;
}
