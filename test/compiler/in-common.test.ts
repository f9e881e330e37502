import { expect, it } from 'vitest';
import { countInCommon } from '../../compiler/in-common.js';

it('counts items that are in both lists', () => {
  expect(countInCommon([1, 2, 3], [4, 3, 2])).toBe(2);
  expect(countInCommon([1, 2], [3])).toBe(0);
  expect(countInCommon([], ['a'])).toBe(0);
});

it('goes through two lists once, however often it is asked', () => {
  let read = 0;
  const counted = (from: number): readonly number[] =>
    new Proxy(
      Array.from({ length: 100 }, (_, i) => from + i),
      {
        get: (list, key) => {
          if (typeof key === 'string' && /^\d+$/.test(key)) read++;
          return Reflect.get(list, key) as unknown;
        },
      },
    );
  const [first, second] = [counted(0), counted(90)];
  for (let times = 0; times < 50; times++) expect(countInCommon(first, second)).toBe(10);
  expect(read).toBe(200);
});
