/** The arguments of the benchmark of Seesaw. */
import { parseArgs } from 'node:util';

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

/** The arguments, or what is wrong with them. */
export function seesawArguments(args: readonly string[]): SeesawArguments | string {
  const parsed = parse(args);
  if (typeof parsed === 'string') return parsed;
  const { values, positionals } = parsed;
  const { requests, keep } = values;
  const count = Number(requests);
  if (requests !== undefined && !(Number.isInteger(count) && count > 0))
    return `--requests wants a whole number above 0, not \`${requests}\``;
  if (keep === '') return '--keep wants a folder';
  const facts = positionals.includes('facts');
  if (facts && args.length > 1) return '`facts` stands alone';
  return {
    facts,
    ...(requests !== undefined && { requests: count }),
    ...(keep !== undefined && { keep }),
    words: facts ? [] : positionals,
  };
}

/**
 * The combinations that have all of the words in their names, machine, model and workload; all without words. Text says
 * what is wrong with the words.
 */
export function pickCombinations<Each extends { readonly names: readonly string[] }>(
  all: readonly Each[],
  words: readonly string[],
): readonly Each[] | string {
  const kinds = ['machines', 'models', 'workloads'].map(
    (kind, i) => `${kind} ${[...new Set(all.map(({ names }) => names[i]!))].join(', ')}`,
  );
  const unknown = words.find((word) => !all.some(({ names }) => names.includes(word)));
  if (unknown !== undefined) return `nothing is called \`${unknown}\`: there are the ${kinds.join('; the ')}`;
  const picked = all.filter(({ names }) => words.every((word) => names.includes(word)));
  if (picked.length === 0)
    return `no combination is called \`${words.join(' ')}\`: it takes one machine, one model and one workload at most`;
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
