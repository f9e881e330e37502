/** What is said to somebody who has left something out. */
import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parse.js';

const helpsOf = (text: string): readonly string[] =>
  parse(text, 'p.plan').errors.flatMap(({ helps }) => helps);

describe('the help for something missing', () => {
  it.each([
    ['device d { memory: }', 'write one, such as `memory: 24 GB`, or take `memory` out'],
    ['plan p for m on t { stage s { mesh (tp:) } }', 'write one, or take `tp` out'],
    ['device d { memory: 1 GB + }', 'or take the `+` out'],
    ['plan p for m on t { kv { tiers: gpu -> } }', 'or take the `->` out'],
    ['plan p for m on t { flow requests -> -> results }', 'or take the `->` out'],
    ['plan p for m on t { stage s on node. { mesh (tp: 4) } }', 'or take the `.` out'],
    ['plan for m on t { }', 'names begin with a letter or `_` and go on with letters, digits and `_`'],
  ])('%s', (text, help) => {
    expect(helpsOf(text)).toContain(help);
  });

  it('does not say to take out what is needed', () => {
    expect(helpsOf('topology t { gpu[2]: d, link gpu <-> { bandwidth: 1 GB/s } }')).toEqual([]);
    expect(helpsOf('plan p for on t { }')).toEqual([]);
  });
});
