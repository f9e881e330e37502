/**
 * How prompts are dealt out to the steps of a stage for both phases, in order, each from some round on: a step that one leaves
 * room in takes the next as well. Each goes to the replica that has a step for it first.
 */

/** Steps that a round has: of each replica as many as are in flight. */
export interface StepsOfRound {
  readonly dp: number;
  readonly pp: number;
  /** Prompt tokens that a step may carry. */
  readonly tokens: number;
}

/**
 * Steps that carry prompt tokens, of all replicas. Those with fewer than a round of steps from one to the next are a run.
 *
 *     4 in a round, with prompts x: x . x .  . . . .  . x . .     3 steps, 2 runs with 4 steps from first to last
 */
export interface MixedSteps {
  readonly steps: number;
  readonly runs: number;
  /** From the first to the last of each run. */
  readonly stepsOfRuns: number;
  /** Of the step of each run that carries most. */
  readonly mostTokens: number;
}

export interface DealtPrompts {
  /** In order of rounds. */
  readonly add: (fromRound: number, tokens: number) => void;
  readonly all: () => MixedSteps;
}

/** No prompts yet. */
export function mixedSteps({ dp, pp, tokens }: StepsOfRound): DealtPrompts {
  /** By replica: its last step of those, how many tokens that carries, and the most of one in this run. */
  const last = new Float64Array(dp).fill(-Infinity);
  const [carried, most] = [new Float64Array(dp).fill(tokens), new Float64Array(dp)];
  let [steps, runs, stepsOfRuns, mostTokens] = [0, 0, 0, 0];
  const next = (replica: number, first: number): number =>
    Math.max(first, last[replica]! + (carried[replica]! < tokens ? 0 : 1));
  const begin = (replica: number, at: number): void => {
    const apart = at - last[replica]!;
    steps++;
    if (apart < pp) stepsOfRuns += apart;
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
