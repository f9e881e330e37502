/** A name that is not there is told of once, by the parser. */
import { describe, expect, it } from 'vitest';
import { fused, split, WORLD } from './marked.js';
import { checkText } from './memory-host.js';

const codesOf = (text: string): readonly string[] => checkText(text).diagnostics.map(({ code }) => code);

describe('a missing name', () => {
  it.each([
    ['a model after `for`', fused('mesh (dp: 8)').replace('for m', 'for'), 'FC0104'],
    ['a topology after `on`', fused('mesh (dp: 8)').replace('on t', 'on'), 'FC0103'],
    ['a plan after `from`', `${WORLD}plan q from {\n}`, 'FC0104'],
    [
      'a stage after `like`',
      split('').replace('on gpu { mesh (dp: 2', 'on gpu like { mesh (dp: 2'),
      'FC0104',
    ],
    ['a device of an array', `${WORLD}topology u { gpu[2]: }`, 'FC0103'],
    [
      'a stage to go to',
      split('flow requests -> prefill -> decode -> results { to when host.full }'),
      'FC0104',
    ],
  ])('is one problem: %s', (_, text, code) => {
    expect(codesOf(text)).toEqual([code]);
  });
});
