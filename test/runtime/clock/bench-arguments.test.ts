/** What benchmarks that go over plans are asked for. */
import { describe, expect, it } from 'vitest';
import { countAsked, inPlaces, pickNamed } from '../../../bench/support/arguments.js';
import { scaleArguments } from '../../../bench/support/scale-arguments.js';
import { caseArguments, pickCombinations } from '../../../bench/support/seesaw-arguments.js';

describe('arguments of benchmarks', () => {
  it('are numbers, places and names', () => {
    expect(countAsked('requests', '1e3')).toBe(1000);
    expect(inPlaces(['a', 'b'], 2)).toEqual(['a', 'b']);
    expect(pickNamed('shape', ['clerk', '110m'], [])).toEqual(['clerk', '110m']);
    expect(pickNamed('shape', ['clerk', '110m'], ['110m'])).toEqual(['110m']);
  });

  it('are refused with the reason', () => {
    for (const text of ['x', '', '0', '-1', '1.5'])
      expect(countAsked('requests', text)).toBe(`requests wants a whole number above 0, not \`${text}\``);
    expect(inPlaces(['a', 'b'], 1)).toBe('nothing is asked for by `b`');
    expect(pickNamed('shape', ['clerk', '110m'], ['clerk', '111m'])).toBe(
      'no shape is called `111m`: there are clerk, 110m',
    );
  });
});

describe('arguments of searches over Seesaw', () => {
  it('are a number of requests and names, in any order', () => {
    expect(caseArguments([])).toEqual({ most: 100, words: [] });
    expect(caseArguments(['l4', '10', 'arxiv'])).toEqual({ most: 10, words: ['l4', 'arxiv'] });
  });

  it.each([
    [['0'], 'requests wants a whole number above 0, not `0`'],
    [['-3', 'l4'], 'requests wants a whole number above 0, not `-3`'],
    [['10', '20'], 'requests wants one number, not 10 and 20'],
  ])('are refused with the reason: %s', (args, why) => {
    expect(caseArguments(args)).toBe(why);
  });

  it('say which strategies there are beside machines, models and workloads', () => {
    const cases = ['fused', 're-sharded'].map((strategy) => ({ names: ['l4', 'm15b', 'arxiv', strategy] }));
    expect(pickCombinations(cases, ['fused'])).toEqual(cases.slice(0, 1));
    expect(pickCombinations(cases, ['l5'])).toBe(
      'nothing is called `l5`: there are the machines l4; the models m15b; the workloads arxiv; ' +
        'the strategies fused, re-sharded',
    );
    expect(pickCombinations(cases, ['fused', 're-sharded'])).toContain(
      'it takes one machine, one model, one workload and one strategy at most',
    );
  });
});

describe('arguments of the benchmark of growth', () => {
  it('are sizes, requests and a kind', () => {
    const { requests, sizes } = scaleArguments(['32']) as Exclude<ReturnType<typeof scaleArguments>, string>;
    expect(requests).toBe(10_000);
    expect(sizes).toEqual([
      { kind: 'fused', devices: [8, 16, 32] },
      { kind: 're-sharded', devices: [8, 16, 32] },
      { kind: 'disaggregated', devices: [16, 32] },
    ]);
    expect(scaleArguments(['4096', '500', 're-sharded', '4096'])).toEqual({
      requests: 500,
      sizes: [{ kind: 're-sharded', devices: [4096] }],
    });
  });

  it.each([
    [['x', '200'], 'most devices wants a whole number above 0, not `x`'],
    [['64', 'many'], 'requests wants a whole number above 0, not `many`'],
    [['64', '10', 'dynamic'], 'no kind is called `dynamic`: there are fused, re-sharded, disaggregated'],
    [['64', '10', 'fused', 'x'], 'least devices wants a whole number above 0, not `x`'],
    [['64', '10', 'fused', '24'], 'least devices wants 8, 16, 32 or more so, not `24`'],
    [['8', '10', 'disaggregated'], 'no plan is between 8 and 8 devices'],
    [['64', '10', 'fused', '8', '9'], 'nothing is asked for by `9`'],
  ])('are refused with the reason: %s', (args, why) => {
    expect(scaleArguments(args)).toBe(why);
  });
});
