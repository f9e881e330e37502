/**
 * Deals prompts out to the steps of a stage for both phases, in order, each from some round on: a step that one prompt
 * leaves room in takes the next as well. Each prompt goes to the replica that has a step for it first.
 */

/** The steps of a round: on each of `dp` replicas `pp` steps, as many as are in flight. */
export interface StepsOfRound {
  readonly dp: number;
  readonly pp: number;
  /** Prompt tokens that a step may carry. */
  readonly tokens: number;
}

/**
 * Counts of steps that carry prompt tokens, on all replicas. A run is a series of these on one replica in which each
 * comes less than a round of steps behind the one before.
 *
 *     4 in a round, with prompts x: x . x .  . . . .  . x . .     3 steps, 2 runs with 4 steps from first to last
 */
export interface MixedSteps {
  readonly steps: number;
  readonly runs: number;
  /** Steps from the first to the last of each run, also those without prompt tokens, over all runs. */
  readonly stepsOfRuns: number;
  /** Prompt tokens of the step of each run that carries most, over all runs. */
  readonly mostTokens: number;
}

/** Prompts that are dealt out one by one. */
export interface DealtPrompts {
  /**
   * Deals out a prompt of so many tokens, from a round on (which may lie within one). Prompts come in order of rounds.
   */
  readonly add: (fromRound: number, tokens: number) => void;
  /** The steps of all prompts that were dealt out so far. */
  readonly all: () => MixedSteps;
}

/** Begins without any prompts. */
export function mixedSteps({ dp, pp, tokens }: StepsOfRound): DealtPrompts {
  /** By replica: its last step with prompt tokens, how many that carries, and the most of a step in this run. */
  const last = new Float64Array(dp).fill(-Infinity);
  const [carried, most] = [new Float64Array(dp).fill(tokens), new Float64Array(dp)];
  let [steps, runs, stepsOfRuns, mostTokens] = [0, 0, 0, 0];
  const next = (replica: number, first: number): number =>
    Math.max(first, last[replica]! + (carried[replica]! < tokens ? 0 : 1));
  const begin = (replica: number, at: number): void => {
    const gap = at - last[replica]!;
    steps++;
    if (gap < pp) stepsOfRuns += gap;
    else {
      runs++;
      stepsOfRuns++;
      mostTokens += most[replica]!;
      most[replica] = 0;
    }
    last[replica] = at;
    carried[replica] = 0;
  };
  return {
    add(from, prompt) {
      const first = Math.floor(from * pp);
      let replica = 0;
      for (let each = 1; each < dp; each++) if (next(each, first) < next(replica, first)) replica = each;
      for (let left = prompt; left > 0;) {
        const at = next(replica, first);
        if (at > last[replica]!) begin(replica, at);
        const taken = Math.min(left, tokens - carried[replica]!);
        left -= taken;
        carried[replica]! += taken;
        most[replica] = Math.max(most[replica]!, carried[replica]!);
      }
    },
    all: () => ({
      steps,
      runs,
      stepsOfRuns,
      mostTokens: most.reduce((sum, each) => sum + each, mostTokens),
    }),
  };
}
