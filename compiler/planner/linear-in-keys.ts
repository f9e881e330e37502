/**
 * Seconds of decode steps and rounds as lines in the keys that their rows see: they are linear, so that two points say
 * all.
 */

/** A large number of keys per row: the second point of the line whose slope is the seconds of one key. */
const MANY_KEYS = 1025;

/** Seconds as a line in the keys of all rows: `few` where each row sees one key, and `perKey` for every key more. */
export interface LineInKeys {
  readonly few: number;
  readonly perKey: number;
}

/**
 * The lines of steps with `rows` rows, by pipeline stage.
 *
 * @param of seconds by pipeline stage for so many keys of all rows together, at least as many as rows
 */
export function linesInKeys(rows: number, of: (keys: number) => readonly number[]): readonly LineInKeys[] {
  const [few, many] = [of(rows), of(rows * MANY_KEYS)];
  return few.map((each, pp) => ({
    few: each,
    perKey: (many[pp]! - each) / (rows * (MANY_KEYS - 1)),
  }));
}
