/** Names of many places. */
import { describe, expect, it } from 'vitest';
import { rangesOf } from '../../../compiler/plan/ranges.js';

const array = (name: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${name}[${index}]`);

describe('ranges of places', () => {
  it.each([
    [['gpu[3]'], 'gpu[3]'],
    [['host'], 'host'],
    [array('gpu', 4), 'gpu[0..3]'],
    [['gpu[0]', 'gpu[1]', 'gpu[4]', 'tpu[0]'], 'gpu[0..1], gpu[4], tpu[0]'],
    [array('node', 3).flatMap((node) => array(`${node}.gpu`, 8)), 'node[0..2].gpu[0..7]'],
    [array('node', 3).map((node) => `${node}.host`), 'node[0..2].host'],
    [['node[0].gpu[0]', 'node[0].gpu[1]', 'node[1].gpu[0]'], 'node[0].gpu[0..1], node[1].gpu[0]'],
    [['gpu[0]', 'gpu[2]', 'gpu[4]', 'gpu[6]', 'gpu[7]', 'gpu[9]'], 'gpu[0], gpu[2], gpu[4] and 3 more'],
  ])('%j: %s', (paths, text) => {
    expect(rangesOf(paths)).toBe(text);
  });
});
