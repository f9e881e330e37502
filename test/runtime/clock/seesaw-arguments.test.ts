/** What the benchmark of Seesaw is asked for. */
import { describe, expect, it } from 'vitest';
import { pickCombinations, seesawArguments } from '../../../bench/support/seesaw-arguments.js';

describe('arguments of the benchmark of Seesaw', () => {
  it('are options and names', () => {
    expect(seesawArguments([])).toEqual({ facts: false, words: [] });
    expect(seesawArguments(['facts'])).toEqual({ facts: true, words: [] });
    expect(seesawArguments(['l4', '--requests=5', 'arxiv', '--keep', 'here'])).toEqual({
      facts: false,
      requests: 5,
      keep: 'here',
      words: ['l4', 'arxiv'],
    });
  });

  it.each([
    [['--kepe'], "Unknown option '--kepe'"],
    [['l4', '--keep'], "Option '--keep <value>' argument missing"],
    [['--keep='], '--keep wants a folder'],
    [['--requests', 'many'], '--requests wants a whole number above 0, not `many`'],
    [['--requests=0'], '--requests wants a whole number above 0, not `0`'],
    [['facts', 'l4'], '`facts` stands alone'],
  ])('are refused with the reason: %s', (args, why) => {
    expect(seesawArguments(args)).toBe(why);
  });

  const combinations = ['l4', 'a10'].flatMap((machine) =>
    ['m15b', 'm70b'].map((model) => ({ names: [machine, model, 'arxiv'] })),
  );

  it('pick the combinations that have all of the names', () => {
    expect(pickCombinations(combinations, [])).toEqual(combinations);
    expect(pickCombinations(combinations, ['arxiv', 'l4'])).toEqual(combinations.slice(0, 2));
    expect(pickCombinations(combinations, ['a10', 'm70b'])).toEqual(combinations.slice(3));
  });

  it('say which names there are', () => {
    expect(pickCombinations(combinations, ['l4', 'h100'])).toBe(
      'nothing is called `h100`: there are the machines l4, a10; the models m15b, m70b; the workloads arxiv',
    );
    expect(pickCombinations(combinations, ['l4', 'a10'])).toBe(
      'no combination is called `l4 a10`: it takes one machine, one model and one workload at most',
    );
  });
});
