/** A name that is not there is told of once, by the parser. */
import { readFileSync } from 'node:fs';
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

/** All that a text has said of it, in words. */
const wordsOf = (text: string): readonly string[] =>
  checkText(text).diagnostics.flatMap(({ message, helps, fixes }) => [
    message,
    ...helps,
    ...fixes.map(({ title }) => title),
  ]);

/** The text of which the page of a code says that it fails. */
const diagnosed = (code: string): string =>
  /```plan\n([^]*?)```/.exec(readFileSync(`docs/diagnostics/${code}.md`, 'utf8'))![1]!;

it('counts one device in the singular', () => {
  const text = diagnosed('FC0414').replace('on gpu', 'on gpu[0]');
  expect(wordsOf(text)[0]).toMatch(/^`mesh auto` finds no mesh of 1 device that stage `\w+` fits on$/);
});

describe('a name that is missing', () => {
  it.each([
    ['plan {', 'this plan has no stage'],
    ['topology {', 'this topology has no devices'],
    ['plan { }\nflow a', 'this `}` closes the plan too early'],
    [
      `${WORLD}plan for m on t { stage decode on gpu { mesh (dp: 8) } }`,
      'no stage of this plan does prefill',
    ],
    [
      `${WORLD}plan p for m on t { stage on gpu { mesh (tp: 3) } }`,
      'the mesh of this stage (tp: 3) has 3 ranks but',
    ],
    ['param : int = 3 in [1, 2, 4]', 'this param = 3 is not one of its values 1, 2, 4'],
  ])('has words of its own in %j', (text, said) => {
    expect(wordsOf(text).join('\n')).toContain(said);
  });

  it.each([
    ['FC0404', 'for the sum over `tp` of this stage'],
    ['FC0412', 'the weights of this stage need'],
    ['FC0414', 'that this stage fits on'],
    ['FC0601', 'this stage has'],
    ['FC0602', 'this stage has room for'],
  ])('of a stage is not quoted by %s', (code, said) => {
    const words = wordsOf(diagnosed(code).replace(/stage \w+/, 'stage '));
    expect(words.join('\n')).toContain(said);
    expect(words.filter((each) => each.includes('``'))).toEqual([]);
  });

  it('of two stages does not make them one', () => {
    const text = split('')
      .replace('stage prefill', 'stage : prefill')
      .replace('stage decode', 'stage : decode');
    expect(new Set(codesOf(text))).toEqual(new Set(['FC0104']));
  });

  it('is nowhere quoted, wherever a file ends and whatever word it lacks', () => {
    const plan = `plan p for m on t {
      stage prefill on gpu { mesh (pp: 8), split layers on pp [8], shard heads on tp }
      flow requests -> prefill -> results { to prefill when host.used < 20% }
      expect { peak(prefill, gpu) <= 2 GB, never send of kv in prefill }
    }`;
    for (const { index, 0: word } of plan.matchAll(/\w+|[^\s\w]+/g)) {
      const end = index + word.length;
      for (const text of [plan.slice(0, end), plan.slice(0, index) + plan.slice(end)])
        expect(
          wordsOf(WORLD + text).filter((words) => words.includes('``')),
          text,
        ).toEqual([]);
    }
  });
});
