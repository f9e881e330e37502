/** Costs of steps and rounds of decode: linear in the keys that their rows see, so that two of them say all. */
import { once } from '../once.js';

/** Of a row, to know what one of them takes. */
const MANY_KEYS = 1025;

/**
 * The seconds that `of` has for so many rows and keys in all, by two calls for every count of rows.
 *
 * @param of seconds, by place, with at least as many keys as rows
 */
export function linearInKeys(
  of: (count: number, keys: number) => readonly number[],
): (count: number, keys: number) => readonly number[] {
  const linesOf = once((count: number) => {
    const [few, many] = [of(count, count), of(count, count * MANY_KEYS)];
    return few.map((each, place) => ({
      few: each,
      perKey: (many[place]! - each) / (count * (MANY_KEYS - 1)),
    }));
  });
  return (count, keys) => linesOf(count).map(({ few, perKey }) => few + (keys - count) * perKey);
}
