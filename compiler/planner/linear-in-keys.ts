/** Costs of steps and rounds of decode: linear in the keys that their rows see, so that two of them say all. */

/** Of a row, to know what one of them takes. */
const MANY_KEYS = 1025;

/** Seconds where each row sees one key, and for every key more. */
export interface LineInKeys {
  readonly few: number;
  readonly perKey: number;
}

/**
 * The line through what steps with so many rows take, by place.
 *
 * @param of seconds for so many keys in all, at least as many as rows
 */
export function linesInKeys(rows: number, of: (keys: number) => readonly number[]): readonly LineInKeys[] {
  const [few, many] = [of(rows), of(rows * MANY_KEYS)];
  return few.map((each, place) => ({
    few: each,
    perKey: (many[place]! - each) / (rows * (MANY_KEYS - 1)),
  }));
}
