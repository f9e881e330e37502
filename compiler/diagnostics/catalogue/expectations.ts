/** FC08: expectations. */
import { error } from './entry.js';

export const EXPECTATIONS = {
  'unknown-measure': error<{ measure: string }>(
    'FC0801',
    ({ measure }) => `\`${measure}\` is nothing that can be expected`,
  ),
  'bad-measure-argument': error<{ measure: string; problem: string }>(
    'FC0802',
    ({ measure, problem }) => `\`${measure}\`: ${problem}`,
  ),
  'not-a-bound': error<Record<never, never>>(
    'FC0803',
    () => 'an expectation compares a measure with a value',
  ),
  'expectation-not-met': error<{ measure: string; value: string; bound: string }>(
    'FC0804',
    ({ measure, value, bound }) => `${measure} is ${value}, expected ${bound}`,
  ),
};
