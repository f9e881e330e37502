/** FC08: expectations. */
import { error, warning } from './entry.js';

/** A figure that is not what a plan expects of it. */
export interface Unmet {
  readonly measure: string;
  readonly value: string;
  /** Where the value was seen: nothing for the compiled plan, else such as ` in the run`. */
  readonly seen: string;
  readonly bound: string;
}

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
  'expectation-not-met': error<Unmet>(
    'FC0804',
    ({ measure, value, seen, bound }) => `${measure} is ${value}${seen}, expected ${bound}`,
  ),
  'time-not-met': warning<Unmet>(
    'FC0805',
    ({ measure, value, seen, bound }) => `${measure} is ${value}${seen}, expected ${bound}`,
  ),
  'workload-not-held': error<{ workload: string; unheld: number; requests: number }>(
    'FC0806',
    ({ workload, unheld, requests }) =>
      `the plan has no room for ${unheld} of the ${requests} requests of workload \`${workload}\`, so nothing is kept that is expected for it`,
  ),
};
