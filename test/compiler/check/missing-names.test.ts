/** A name that is not there is told of once, by the parser. */
import { describe, expect, it } from 'vitest';
import { fused, split, WORLD } from './marked.js';
import { checkText } from './memory-host.js';

const codesOf = (text: string): readonly string[] => checkText(text).diagnostics.map(({ code }) => code);

it('says of a flow that ends at once where it ends', () => {
  const [only] = checkText(split('flow requests')).diagnostics;
  expect(only!.message).toBe('a flow ends with `results`, not with `requests`');
  expect(only!.fixes).toHaveLength(1);
});

it('does not count the devices of an index that is not known', () => {
  const text = fused('mesh (dp: 8)').replace('on gpu {', 'on gpu[0 § 3] {');
  expect(codesOf(text)).toEqual(['FC0112']);
  expect(codesOf(text.replace('§', ''))).toEqual(['FC0101']);
});

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
    ['devices after a comma', fused('mesh (dp: 8)').replace('on gpu {', 'on gpu, {'), 'FC0103'],
    ['devices after `on`', fused('mesh (dp: 8)').replace('on gpu {', 'on {'), 'FC0103'],
    ['a device of an array', `${WORLD}topology u { gpu[2]: }`, 'FC0103'],
    [
      'a stage to go to',
      split('flow requests -> prefill -> decode -> results { to when host.full }'),
      'FC0104',
    ],
    ['a stage of the flow', split('flow requests -> prefill -> -> results'), 'FC0104'],
    ['the end of a flow', split('flow requests -> prefill -> decode ->'), 'FC0104'],
    ['the beginning of a flow', split('flow -> prefill -> decode -> results'), 'FC0104'],
  ])('is one problem: %s', (_, text, code) => {
    expect(codesOf(text)).toEqual([code]);
  });
});
