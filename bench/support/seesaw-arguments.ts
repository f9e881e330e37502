/** The arguments of benchmarks over the machines, models and workloads of Seesaw. */
import { parseArgs } from 'node:util';
import { countAsked } from './arguments.js';

export interface SeesawArguments {
  /** Print what was measured beside what the model says, and nothing else. */
  readonly facts: boolean;
  /** How many requests of each workload; all where it is not said. */
  readonly requests?: number;
  /** The folder that what is found is kept in. */
  readonly keep?: string;
  /** Machines, models and workloads. */
  readonly words: readonly string[];
}

/** The arguments of the benchmark of Seesaw, or what is wrong with them. */
export function seesawArguments(args: readonly string[]): SeesawArguments | string {
  const parsed = parse(args);
  if (typeof parsed === 'string') return parsed;
  const { values, positionals } = parsed;
  const { requests, keep } = values;
  const count = requests === undefined ? undefined : countAsked('--requests', requests);
  if (typeof count === 'string') return count;
  if (keep === '') return '--keep wants a folder';
  const facts = positionals.includes('facts');
  if (facts && args.length > 1) return '`facts` stands alone';
  return {
    facts,
    ...(count !== undefined && { requests: count }),
    ...(keep !== undefined && { keep }),
    words: facts ? [] : positionals,
  };
}

/** How many requests of each workload, and names of what is searched. */
export interface CaseArguments {
  readonly most: number;
  readonly words: readonly string[];
}

/** The arguments of benchmarks of searches: names, and 100 requests unless there is a number. */
export function caseArguments(args: readonly string[]): CaseArguments | string {
  const isWord = (text: string): boolean => Number.isNaN(Number(text));
  const words = args.filter(isWord);
  const numbers = args.filter((each) => !isWord(each));
  const [count = '100', another] = numbers;
  if (another !== undefined) return `requests wants one number, not ${numbers.join(' and ')}`;
  const most = countAsked('requests', count);
  return typeof most === 'string' ? most : { most, words };
}

/** What names are of, in their order. */
const KINDS = [
  ['machine', 'machines'],
  ['model', 'models'],
  ['workload', 'workloads'],
  ['strategy', 'strategies'],
] as const;

/**
 * The combinations that have all of the words in their names, of each of `KINDS` one; all without words. Text says what is
 * wrong with the words.
 */
export function pickCombinations<Each extends { readonly names: readonly string[] }>(
  all: readonly Each[],
  words: readonly string[],
): readonly Each[] | string {
  const kinds = KINDS.slice(0, all[0]?.names.length);
  const unknown = words.find((word) => !all.some(({ names }) => names.includes(word)));
  if (unknown !== undefined) {
    const known = kinds.map(
      ([, several], i) => `${several} ${[...new Set(all.map(({ names }) => names[i]!))].join(', ')}`,
    );
    return `nothing is called \`${unknown}\`: there are the ${known.join('; the ')}`;
  }
  const picked = all.filter(({ names }) => words.every((word) => names.includes(word)));
  if (picked.length === 0) {
    const [first, ...others] = kinds.map(([one]) => `one ${one}`).reverse();
    const each = [others.reverse().join(', '), first].join(' and ');
    return `no combination is called \`${words.join(' ')}\`: it takes ${each} at most`;
  }
  return picked;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        requests: { type: 'string' },
        keep: { type: 'string' },
      },
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    // The first sentence: the rest is advice for options that begin with a dash.
    return (error as Error).message.split(/\.\s/)[0]!;
  }
}
