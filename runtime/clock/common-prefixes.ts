/**
 * Prompts of a simulation have no tokens, but the scheduler shares what begins alike by keys and tokens. So those that have a
 * beginning in common get made-up ones, as far as that goes; what is behind it nobody shares.
 */
import type { SchedulerRequest } from '../scheduler/types.js';
import type { SimulatedRequest } from './simulation.js';

/** What the scheduler is told of the beginning of a prompt; empty where it begins like no other. */
export type Beginning = Partial<Required<Pick<SchedulerRequest, 'pageKeys' | 'promptIds'>>>;

/**
 * Beginnings of prompts by the position of the request; equal named ones are the same lists, as workloads are large.
 *
 * @param context tokens of the longest prompt that can run: what longer ones have beyond it is left out, for they are
 *   rejected whatever they begin with, and nothing bounds what a workload says of them
 */
export function commonPrefixes(
  requests: readonly Pick<SimulatedRequest, 'prefix' | 'like'>[],
  pageTokens: number,
  context: number,
): (request: number) => Beginning {
  const named = new Map<string, Beginning>();
  /** The made-up token of every named beginning, which is not the number of any request. */
  const numbers = new Map<string, number>();
  const pages = (tokens: number): number => Math.floor(tokens / pageTokens);
  const ofName = (prefix: NonNullable<SimulatedRequest['prefix']>): Beginning => {
    const { name } = prefix;
    const tokens = Math.min(prefix.tokens, context);
    const number = numbers.get(name) ?? requests.length + numbers.size;
    numbers.set(name, number);
    const key = `${number} ${tokens}`;
    const found = named.get(key) ?? {
      pageKeys: Array.from({ length: pages(tokens) }, (_, page) => `${number} ${page}`),
      promptIds: Array.from({ length: tokens }, () => number),
    };
    named.set(key, found);
    return found;
  };
  /** By request, the most tokens that a later one begins with as it does. */
  const shared: number[] = [];
  for (const { like } of requests)
    if (like !== undefined) shared[like.request] = Math.max(shared[like.request] ?? 0, like.tokens);
  const alike: Beginning[] = [];
  if (shared.length > 0)
    for (const [own, { like }] of requests.entries()) {
      const { pageKeys = [], promptIds = [] } = like === undefined ? {} : alike[like.request]!;
      const taken = Math.min(like?.tokens ?? 0, context);
      const all = Math.min(Math.max(taken, shared[own] ?? 0), context);
      alike[own] = {
        pageKeys: Array.from({ length: pages(all) }, (_, page) =>
          page < pages(taken) ? pageKeys[page]! : `${own} ${page}`,
        ),
        promptIds: Array.from({ length: all }, (_, at) => (at < taken ? promptIds[at]! : own)),
      };
    }
  return (request) => {
    const { prefix } = requests[request]!;
    return prefix === undefined ? (alike[request] ?? {}) : ofName(prefix);
  };
}
