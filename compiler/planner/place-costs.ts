/** What work costs on each pipeline stage of a stage, whichever of its replicas does it. */
import type { LeastCost, TotalWork } from '../cost/least-cost.js';
import { once, onceForBoth } from '../once.js';

/** A line through the costs of two works, by the value at the second of them. */
export interface CostLine {
  readonly at: number;
  readonly slope: number;
}

/** By pipeline stage. */
export interface PlaceCosts {
  /** Seconds of the work: in the mean over replicas where these are not alike. */
  readonly of: (work: TotalWork) => readonly number[];
  /** Seconds of one step with so many tokens of a prompt. */
  readonly promptStep: (tokens: number) => readonly number[];
  /** Seconds of one step with so many rows of decode, each of which sees so many keys. */
  readonly rowsStep: (rows: number, keys: number) => readonly number[];
  /** Lines through two works that differ in steps, or else in tokens. */
  readonly lines: (before: TotalWork, at: TotalWork) => readonly CostLine[];
  /** Lines through a step with a row less and one with so many rows of decode. */
  readonly rowsLines: (rows: number, keys: number) => readonly CostLine[];
  /** No work at all. */
  readonly none: readonly number[];
}

/**
 * @param groups by pipeline stage the costs of its replicas, one alone where they are alike; the same list where they are the
 *   same
 * @param atWork how many of the replicas have anything to do
 */
export function placeCosts(groups: readonly (readonly LeastCost[])[], atWork = Infinity): PlaceCosts {
  const ofReplicas = (costs: readonly LeastCost[], secondsOf: (cost: LeastCost) => number): number =>
    costs.length === 1 ? secondsOf(costs[0]!) : meanOfDealt(costs.map(secondsOf), atWork);
  const kinds = [...new Set(groups)];
  const kindOf = groups.map((group) => kinds.indexOf(group));
  const byPlace = <Found>(find: (costs: readonly LeastCost[]) => Found): readonly Found[] => {
    const found = kinds.map(find);
    return kindOf.map((kind) => found[kind]!);
  };
  const of = (work: TotalWork): readonly number[] =>
    byPlace((costs) => ofReplicas(costs, (cost) => cost(work)));
  const lines: PlaceCosts['lines'] = (before, at) => {
    const by = at.steps === before.steps ? at.tokens - before.tokens : at.steps - before.steps;
    return byPlace((costs) => ({
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
    promptStep: once((tokens: number) => of(promptWork(tokens))),
    rowsStep: onceForBoth((rows, keys) => of(rowsWork(rows, keys))),
    lines,
    rowsLines: onceForBoth((rows, keys) => lines(rowsWork(rows - 1, keys), rowsWork(rows, keys))),
    none: groups.map(() => 0),
  };
}

const promptWork = (tokens: number): TotalWork => ({
  steps: 1,
  sampling: 0,
  tokens,
  samples: 0,
  pairs: (tokens * (tokens + 1)) / 2,
  keys: tokens,
});

const rowsWork = (rows: number, keys: number): TotalWork => ({
  steps: 1,
  sampling: 1,
  tokens: rows,
  samples: rows,
  pairs: rows * keys,
  keys: rows * keys,
});

/**
 * What work takes in the mean where it is dealt out to whoever is done with the last: a quick replica has more of it.
 *
 *     one of 1 s and one of 3 s: of four works the first does three, so that each takes 1.5 s of one of two replicas
 *
 * @param atWork how many replicas have any, no more than there are: the quickest
 */
export function meanOfDealt(seconds: readonly number[], atWork: number): number {
  const dealt = atWork < seconds.length ? [...seconds].sort((a, b) => a - b).slice(0, atWork) : seconds;
  return dealt.length / dealt.reduce((sum, each) => sum + 1 / each, 0);
}
