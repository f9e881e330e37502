/** What work costs on each pipeline stage of a stage, whichever of its replicas does it. */
import type { LeastCost, TotalWork } from '../cost/least-cost.js';
import { once, onceForBoth } from '../once.js';

/** A line through the costs of two amounts of work: seconds at the second of them, and the slope. */
export interface CostLine {
  readonly at: number;
  readonly slope: number;
}

/** Costs as lists by pipeline stage. */
export interface PipelineCosts {
  /** Seconds of the work; where replicas are not alike, in the mean over them (see `meanOfDealt`). */
  readonly of: (work: TotalWork) => readonly number[];
  /** Seconds of one step with `tokens` tokens, all of one prompt and from its start. */
  readonly promptStep: (tokens: number) => readonly number[];
  /** Seconds of one step with `rows` rows of decode, each of which sees `keys` keys. */
  readonly rowsStep: (rows: number, keys: number) => readonly number[];
  /**
   * For each pipeline stage the cost at `at`, and its slope from `before` to `at`: per step if the steps differ, else
   * per token.
   */
  readonly lines: (before: TotalWork, at: TotalWork) => readonly CostLine[];
  /** As `lines`, from a step with `rows - 1` rows of decode to one with `rows`. */
  readonly rowsLines: (rows: number, keys: number) => readonly CostLine[];
  /** Zero seconds for each pipeline stage. */
  readonly none: readonly number[];
}

/**
 * The costs of a stage.
 *
 * @param groups by pipeline stage the costs of its replicas, a single one where these are alike; pipeline stages with
 *   the same costs share one list
 * @param atWork how many of the replicas have anything to do
 */
export function pipelineCosts(groups: readonly (readonly LeastCost[])[], atWork = Infinity): PipelineCosts {
  const ofReplicas = (costs: readonly LeastCost[], secondsOf: (cost: LeastCost) => number): number =>
    costs.length === 1 ? secondsOf(costs[0]!) : meanOfDealt(costs.map(secondsOf), atWork);
  const kinds = [...new Set(groups)];
  const kindOf = groups.map((group) => kinds.indexOf(group));
  const byPp = <Found>(find: (costs: readonly LeastCost[]) => Found): readonly Found[] => {
    const found = kinds.map(find);
    return kindOf.map((kind) => found[kind]!);
  };
  const of = (work: TotalWork): readonly number[] => byPp((costs) => ofReplicas(costs, (cost) => cost(work)));
  const lines: PipelineCosts['lines'] = (before, at) => {
    const by = at.steps === before.steps ? at.tokens - before.tokens : at.steps - before.steps;
    return byPp((costs) => ({
      at: ofReplicas(costs, (cost) => cost(at)),
      slope:
        by === 0
          ? 0
          : (ofReplicas(costs, (cost) => cost(at)) - ofReplicas(costs, (cost) => cost(before))) / by,
    }));
  };
  return {
    of,
    // Bounds ask for the same single steps over and over.
    promptStep: once((tokens: number) => of(promptStepWork(tokens))),
    rowsStep: onceForBoth((rows, keys) => of(rowsStepWork(rows, keys))),
    lines,
    rowsLines: onceForBoth((rows, keys) => lines(rowsStepWork(rows - 1, keys), rowsStepWork(rows, keys))),
    none: groups.map(() => 0),
  };
}

const promptStepWork = (tokens: number): TotalWork => ({
  steps: 1,
  sampling: 0,
  tokens,
  samples: 0,
  pairs: (tokens * (tokens + 1)) / 2,
  keys: tokens,
});

const rowsStepWork = (rows: number, keys: number): TotalWork => ({
  steps: 1,
  sampling: 1,
  tokens: rows,
  samples: rows,
  pairs: rows * keys,
  keys: rows * keys,
});

/**
 * Mean seconds of work that is dealt out to whichever replica is done with the last: a quick one does more of it.
 *
 *     one of 1 s and one of 3 s: of four works the first does three, so that each takes 1.5 s of one of two replicas
 *
 * @param seconds of the work on each replica
 * @param atWork how many replicas have any, no more than there are: the quickest
 */
export function meanOfDealt(seconds: readonly number[], atWork: number): number {
  const dealt = atWork < seconds.length ? [...seconds].sort((a, b) => a - b).slice(0, atWork) : seconds;
  return dealt.length / dealt.reduce((sum, each) => sum + 1 / each, 0);
}
