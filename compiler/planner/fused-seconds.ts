/**
 * Estimated seconds of a workload in a stage for both phases: rounds of decode carry the prompts of the sequences that
 * are to join them. No bound. It is the largest of
 *
 * - what its busiest group has to do: steps that carry prompts compute, the others read weights, so that both add up;
 * - what its steps take to pass. A row comes behind the one before it, so that a round takes a step through all groups, and
 *   what the host takes to prepare it. One that carries prompts holds up those behind it all the way; where several come
 *   within a round they are in different groups at once, and each but the longest takes what one group does alone;
 * - what the host takes to prepare the steps of all replicas, or of one in the mean where each has a host of its own.
 */
import type { TotalWork } from '../cost/least-cost.js';
import { onceForBoth, onceForObject } from '../once.js';
import type { BoundedPlan } from './bounded-plan.js';
import { roundsInPlace, type RoundsInPlace, type SequencesInOrder } from './decode-rounds.js';
import type { Demand } from './demand.js';
import { MIXED_STEP_WAIT } from './estimate-margins.js';
import { mixedSteps, type MixedSteps, type StepsOfRound } from './mixed-steps.js';
import { likelyAtOnce, sum } from './stage-load.js';

/** Decode rows beside prompts that are no more than this part of a step's tokens are left out. */
const SAME_TOKENS = 0.01;

/** The estimate for sequences in order of arrival; 0 where nothing is left to do. */
export function fusedSeconds(
  { decode: load, room, overhead }: BoundedPlan,
  demand: Demand,
  sequences: SequencesInOrder,
): number {
  const { dp, pp, tp } = load.stage.mesh;
  const { decodeRows, promptTokens, requests } = demand;
  const atOnce = likelyAtOnce(load.stage, room, demand);
  const found = roundsOfBoth(sequences)(dp, pp)(atOnce, load.sizes.maxTokens);
  if (found.rounds === 0) return 0;
  const work = workOfReplica(demand);
  const steps = pp * found.rounds;
  const mixed = Math.min(steps, found.mixed.steps / dp);
  const rows = Math.min(decodeRows / dp, found.rowsBeside * mixed);
  const alone = Math.min(steps - mixed, decodeRows / dp - rows);
  const carrying = load.costs.of(work(mixed, promptTokens / dp, rows));
  const others = load.costs.of(work(alone, 0, decodeRows / dp - rows));
  const busy = carrying.map((seconds, pp) => seconds + others[pp]!);

  const parts = (requests + decodeRows) / dp;
  const preparing = steps * overhead.step + parts * overhead.request;
  // The host need not wait for what has nothing to be read, but for exchanges.
  const read = tp > 1 ? steps : Math.min(steps, parts);
  const shown = (preparing - (steps - read) * overhead.step) / steps;
  const runs = found.mixed.runs / dp;
  const other = alone > 0 ? sum(others) / alone : 0;
  const inRuns = Math.min(steps, found.mixed.stepsOfRuns / dp);
  const behind = Math.max(0, steps - inRuns - runs * (pp - 1));
  // Replicas deal out prompts by the sequences that they have, several to one as it may be.
  const waits =
    dp === 1 && pp > 1
      ? sum(load.costs.of(work(runs, found.mixed.mostTokens, found.rowsBeside * runs))) *
        MIXED_STEP_WAIT *
        (pp - 1)
      : 0;
  const ofRuns = sum(carrying) + (inRuns - mixed) * other + waits;
  const passing = (ofRuns + behind * (other + shown)) / pp + runs * shown;
  const ofAll = found.steps * overhead.step + (requests + decodeRows) * overhead.request;
  return Math.max(...busy, passing, overhead.hostPerReplica ? ofAll / dp : ofAll);
}

/** Rounds of decode that carry prompts, and their steps. */
interface RoundsOfBoth {
  readonly rounds: number;
  /** Steps of all replicas. */
  readonly steps: number;
  /** Decode rows of a step, in the mean, while prompts are still to come. */
  readonly rowsBeside: number;
  readonly mixed: MixedSteps;
}

/**
 * The rounds of a workload, found once for all stages with as many steps in flight and tokens in a step, whatever these
 * take.
 */
const roundsOfBoth = onceForObject((sequences: SequencesInOrder) =>
  onceForBoth((dp, pp) =>
    onceForBoth((atOnce, tokens) => findRoundsOfBoth(sequences, atOnce, { dp, pp, tokens })),
  ),
);

/** More rows leave less room for prompt tokens in steps, so that fewer sequences decode beside them. */
function findRoundsOfBoth(
  sequences: SequencesInOrder,
  atOnce: number,
  { dp, pp, tokens }: StepsOfRound,
): RoundsOfBoth {
  const steps = dp * pp;
  const rowsBeside = rowsBesideBy(sequences);
  /** Prompt tokens of a round in which so many rows go beside them. */
  const tokensBeside = (rows: number): number => Math.max(steps, steps * tokens - rows);
  const most = rowsBeside(atOnce, tokensBeside(0));
  const rows = most <= steps * tokens * SAME_TOKENS ? 0 : rowsBeside(atOnce, tokensBeside(most));
  const dealt = mixedSteps({ dp, pp, tokens: tokensBeside(rows) / steps });
  const found = roundsInPlace(sequences, atOnce, tokensBeside(rows), dealt.add);
  return {
    rounds: found.rounds,
    steps: found.steps({ dp, pp }),
    rowsBeside: rowsOfRound(found) / steps,
    mixed: dealt.all(),
  };
}

/** Of a workload, for all stages whose rounds have as many prompt tokens, whatever their steps. */
const rowsBesideBy = onceForObject((sequences: SequencesInOrder) =>
  onceForBoth((atOnce, tokensOfRound) => rowsOfRound(roundsInPlace(sequences, atOnce, tokensOfRound))),
);

/** Rows of decode in a round while prompts are to come, in the mean. */
function rowsOfRound({ prompting, rowsMeanwhile }: RoundsInPlace): number {
  return prompting === 0 ? 0 : rowsMeanwhile / prompting;
}

/** The work of `steps` steps of a replica with `prompts` prompt tokens, of a mean length, and `rows` decode rows. */
function workOfReplica({
  requests,
  promptTokens,
  promptPairs,
  decodeRows,
  decodeKeys,
}: Demand): (steps: number, prompts: number, rows: number) => TotalWork {
  return (steps, prompts, rows) => {
    const part = prompts / Math.max(1, promptTokens);
    const keys = (decodeKeys * rows) / Math.max(1, decodeRows);
    return {
      steps,
      sampling: Math.min(steps, rows + requests * part),
      tokens: prompts + rows,
      samples: rows,
      pairs: keys + promptPairs * part,
      keys: keys + prompts,
    };
  };
}
