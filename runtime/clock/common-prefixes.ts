/**
 * Prompts of a simulation have no tokens, but the scheduler shares what begins alike by keys and tokens. So those that have a
 * beginning in common get made-up ones, as far as that goes; what is behind it nobody shares.
 */
import type { CommonPrefix } from '../../compiler/planner/demand.js';
import type { SchedulerRequest } from '../scheduler/types.js';

type Beginning = Pick<SchedulerRequest, 'pageKeys' | 'promptIds'>;

/** Gives every prompt its beginning; equal ones are the same lists, as workloads are large. */
export function createCommonPrefixes(pageTokens: number): (prefix: CommonPrefix | undefined) => Beginning {
  const numbers = new Map<string, number>();
  const known = new Map<string, Beginning>();
  return (prefix) => {
    if (prefix === undefined) return {};
    const { name, tokens } = prefix;
    const number = numbers.get(name) ?? numbers.size;
    numbers.set(name, number);
    const key = `${number} ${tokens}`;
    const found = known.get(key) ?? {
      pageKeys: Array.from({ length: Math.floor(tokens / pageTokens) }, (_, page) => `${number} ${page}`),
      promptIds: Array.from({ length: tokens }, () => number),
    };
    known.set(key, found);
    return found;
  };
}
