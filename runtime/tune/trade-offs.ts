/**
 * What there is beside the plan with the most throughput: plans with less time between tokens, in wide steps, as people
 * weigh the one against the other. By close estimates, but for those that the search has simulated: no other is simulated,
 * and no bound says that there is no better one; a search for the front (see `Goal`) takes more care, and longer. Where there
 * are none (see `isEstimatedClosely`), those that were simulated are all.
 */
import type { Stage } from '../../compiler/plan/plan.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import { once } from '../../compiler/once.js';
import { placeOf } from './candidate-order.js';
import {
  boundedInParts,
  isCompiled,
  lookCloser,
  roughly,
  type Bounded,
  type Compiled,
  type Look,
} from './closer-look.js';
import { meshKeys } from './mesh-key.js';
import type { Tuned } from './search.js';
import type { Survey } from './survey.js';
import { twinsByEstimate } from './twins.js';
import { usualSeconds } from './usual-seconds.js';

/** A plan that fits, by its estimates or by its simulation. */
export interface TradeOff {
  readonly candidate: Candidate;
  readonly seconds: number;
  /** Seconds between two tokens, in the mean. */
  readonly betweenTokens: number;
  /** The search has simulated it to the end: it is one of its ranking. */
  readonly isSimulated: boolean;
}

/** Part by which each trade-off has less time between tokens than the one before, at least. */
const LESS_BETWEEN = 0.25;

/**
 * Part by which plans may differ in seconds and count as equally quick: of these the one with the least time between
 * tokens is shown.
 */
const AS_QUICK = 0.03;

/**
 * The most plans with two stages that are estimated for each trade-off that is found. Once `MOST_OF_ANY` are, only
 * those with the microbatch that is best for plans with two stages, as far as is known. Plans with one stage are all
 * estimated: they are few, and many of the trade-offs.
 */
const MOST_ESTIMATED = 600;
/** The most that are estimated with whatever microbatch. */
const MOST_OF_ANY = 200;

/** The most closer looks in all, of up to thirty milliseconds each. */
const MOST_LOOKS = 40;

/** Candidates looked at for their estimates between two pauses. */
const ESTIMATED_OF_PART = 20;

/**
 * Plans with less and less time between tokens than the best, with pauses, the quickest first.
 *
 * @param ranked those of the candidates that were simulated, that with the most throughput first
 * @param behind seconds that those take, or more, whose simulation was given up
 */
export function* tradeOffsInParts(
  candidates: readonly Candidate[],
  ranked: readonly [Tuned, ...Tuned[]],
  survey: Survey,
  behind: ReadonlyMap<Candidate, number> = new Map(),
): Generator<void, readonly TradeOff[]> {
  const [best, ...others] = ranked;
  if (best.simulation.latency.betweenTokens === 0) return [];
  const look = closerLook({ ...survey, goal: { kind: 'front' }, byEstimate: true });
  let most = best.simulation.latency.betweenTokens * (1 - LESS_BETWEEN);
  const waiting = waitingOf(yield* boundedBelow(most, candidates, survey), look);
  const simulated = new Set(ranked.map(({ candidate }) => candidate));
  let left: readonly (Bounded | Simulated)[] = others.map(bySimulation);
  const corrected = correctedEstimates(behind);
  const twins = twinsByEstimate();
  const found: TradeOff[] = [];
  for (let looks = 0; looks < MOST_LOOKS; looks++) {
    const estimated = yield* asQuickAs(left, waiting, corrected, most, simulated);
    // What is simulated is there by what it takes: neither it nor what is like it needs an estimate.
    const isKnown = ({ candidate }: Bounded): boolean => simulated.has(candidate);
    for (const each of estimated.filter(isKnown)) twins.first(each, [each]);
    left = [...left, ...estimated.filter((each) => !isKnown(each) && twins.isNew(each))];
    const quick = quickest(left, corrected, most);
    if (quick === undefined) break;
    const next = twins.first(quick, left);
    left = left.filter((each) => each !== next && twins.isNew(each));
    if (isCompiled(next) || isSimulated(next)) {
      const { candidate, between: betweenTokens } = next;
      // Where an estimate is quicker the search has found that the plan is not.
      const seconds = Math.max(secondsOf(next), best.simulation.makespan, behind.get(candidate) ?? 0);
      found.push({ candidate, seconds, betweenTokens, isSimulated: isSimulated(next) });
      most = next.between * (1 - LESS_BETWEEN);
      waiting.found();
      continue;
    }
    const closer = look(next);
    // Rough estimates of the time between tokens are too rough to be shown.
    if (closer !== undefined && closer.estimated !== 'no closer') {
      corrected.look(next, closer);
      left = [...left, closer];
    }
    yield;
  }
  // What a rough estimate had hidden until then may be quicker still.
  return found.filter(({ seconds }, place) =>
    found.slice(place + 1).every((later) => later.seconds > seconds),
  );
}

/** A plan with what its simulation came to in place of estimates. */
interface Simulated extends Bounded {
  readonly isSimulated: true;
}

function isSimulated(each: Bounded | Simulated): each is Simulated {
  return 'isSimulated' in each;
}

function bySimulation({ candidate, simulation: { makespan, latency } }: Tuned): Simulated {
  const { betweenTokens } = latency;
  const figures = { least: makespan, estimate: makespan, betweenTokens, between: betweenTokens };
  // Of equals it goes first.
  return { candidate, index: -1, ...figures, isSimulated: true };
}

function secondsOf(each: Bounded | Simulated): number {
  return isSimulated(each) ? each.estimate : usualSeconds(each);
}

/** A closer look at a candidate, which has an estimate then; nothing where it does not fit. */
function closerLook(look: Look): (each: Bounded) => Bounded | undefined {
  return (each) => {
    const isBounded = each.bound !== undefined && each.estimated === undefined;
    const closer = isBounded ? each : lookCloser(each, look);
    if (closer?.bound === undefined || closer.estimated !== undefined) return closer;
    return roughly(closer, closer.bound, look);
  };
}

/**
 * Candidates that fit and may have no more than `most` seconds between tokens, by their bounds: the quickest by these
 * first.
 */
function* boundedBelow(
  most: number,
  candidates: readonly Candidate[],
  survey: Survey,
): Generator<void, readonly Bounded[]> {
  const bounded = yield* boundedInParts(candidates, survey, ({ betweenTokens }) => betweenTokens <= most);
  // Of equals the first goes first: that with the least batch.
  const place = once(({ least }: Bounded) => placeOf(least));
  return bounded.sort((a, b) => place(a) - place(b) || a.index - b.index);
}

/** Plans that are bounded, quickest first, which are estimated as late as can be. */
interface Waiting {
  /**
   * The next plan with its estimates, of those that by their bounds may take no more than `by` seconds and have no more
   * than `most` between tokens; those with more are left out for good. `pause` after some that are left out.
   */
  readonly next: (by: number, most: number) => Bounded | 'pause' | undefined;
  /** A trade-off has been found: as many plans may be estimated for the next one. */
  readonly found: () => void;
}

function waitingOf(bounded: readonly Bounded[], look: (each: Bounded) => Bounded | undefined): Waiting {
  let [waiting, place, estimated] = [bounded, 0, 0];
  /** Plans that were passed by, as enough had been estimated. */
  let passed: Bounded[] = [];
  /**
   * Tokens of prefill steps by decode on devices of its own, of plans that are estimated: others with the same ones decode alike,
   * whatever the mesh for prefill, and are hardly quicker (see `looks-at-others`).
   */
  const stepsBefore = once((_decode: Stage) => new Set<number>());
  const microbatch = bestMicrobatch();
  return {
    next(by, most) {
      const pauseAt = place + ESTIMATED_OF_PART;
      while (place < waiting.length && waiting[place]!.least <= by) {
        if (place === pauseAt) return 'pause';
        const each = waiting[place++]!;
        const { strategy, stages } = each.candidate;
        const decode = stages.at(-1)!;
        const isApart = strategy === 'disaggregated';
        const { microbatchTokens } = stages[0]!;
        if (each.betweenTokens > most) continue;
        if (isApart && stepsBefore(decode).has(microbatchTokens)) continue;
        if (strategy !== 'fused') {
          const limit = microbatch.isBest(each) ? MOST_ESTIMATED : MOST_OF_ANY;
          if (estimated >= limit) {
            passed.push(each);
            continue;
          }
          estimated++;
        }
        const there = look(each);
        if (there === undefined) continue;
        if (isApart) stepsBefore(decode).add(microbatchTokens);
        microbatch.add(there);
        return there;
      }
      return undefined;
    },
    found() {
      waiting = [...passed, ...waiting.slice(place)];
      [passed, place, estimated] = [[], 0, 0];
    },
  };
}

/** The microbatch of the quickest plan with two stages, of those that are estimated. */
function bestMicrobatch(): {
  readonly isBest: (each: Bounded) => boolean;
  readonly add: (estimated: Bounded) => void;
} {
  let quickest: Bounded | undefined;
  const tokensOf = ({ candidate }: Bounded): number => candidate.stages[0]!.microbatchTokens;
  return {
    isBest: (each) => quickest === undefined || tokensOf(each) === tokensOf(quickest),
    add(estimated) {
      if (estimated.candidate.strategy === 'fused') return;
      if (quickest === undefined || estimated.estimate < quickest.estimate) quickest = estimated;
    },
  };
}

/**
 * All waiting plans that may be as quick as the quickest, with their estimates.
 *
 * @param simulated candidates whose speed is known, so that estimates do not decide it
 */
function* asQuickAs(
  plans: readonly Bounded[],
  waiting: Waiting,
  { seconds, between }: CorrectedEstimates,
  most: number,
  simulated: ReadonlySet<Candidate>,
): Generator<void, readonly Bounded[]> {
  const found: Bounded[] = [];
  const byOf = (each: Bounded): number => (between(each) <= most ? seconds(each) * (1 + AS_QUICK) : Infinity);
  let by = plans.reduce((least, each) => Math.min(least, byOf(each)), Infinity);
  for (let next = waiting.next(by, most); next !== undefined; next = waiting.next(by, most)) {
    if (next === 'pause') {
      yield;
      continue;
    }
    found.push(next);
    if (!simulated.has(next.candidate)) by = Math.min(by, byOf(next));
    if (found.length % ESTIMATED_OF_PART === 0) yield;
  }
  return found;
}

/** Estimates, of which rough ones are corrected by close ones of other plans. */
interface CorrectedEstimates {
  readonly seconds: (each: Bounded) => number;
  readonly between: (each: Bounded) => number;
  /** Notes that a rough estimate has been followed by a close one. */
  readonly look: (rough: Bounded, closer: Bounded) => void;
}

/**
 * Corrects rough estimates by the ratio of close to rough ones of plans that decode on the same mesh, best with the
 * same prefill steps: what rough estimates leave out is much the same for these.
 *
 * @param behind seconds that plans take, or more, whose simulation was given up
 */
function correctedEstimates(behind: ReadonlyMap<Candidate, number>): CorrectedEstimates {
  const meshOf = meshKeys();
  /** Keys of plans like it, from the most alike to the least. */
  const keysOf = once(({ strategy, stages }: Candidate): readonly string[] => {
    const mesh = [strategy, meshOf({ stages: stages.slice(-1) })].join();
    return [`${mesh} ${stages[0]!.microbatchTokens}`, mesh];
  });
  const factors = new Map<string, { readonly seconds: number; readonly between: number }>();
  const factorsOf = ({ candidate, estimated }: Bounded): { seconds: number; between: number } | undefined => {
    if (estimated !== 'roughly') return undefined;
    const key = keysOf(candidate).find((each) => factors.has(each));
    return key === undefined ? undefined : factors.get(key);
  };
  return {
    seconds(each) {
      const known = factorsOf(each);
      const seconds = known === undefined ? secondsOf(each) : each.estimate * known.seconds;
      return Math.max(seconds, behind.get(each.candidate) ?? 0);
    },
    between: (each) => each.between * (factorsOf(each)?.between ?? 1),
    look(rough, closer) {
      if (rough.estimated !== 'roughly' || closer.estimated !== 'closely') return;
      const found = {
        seconds: usualSeconds(closer) / rough.estimate,
        between: closer.between / rough.between,
      };
      for (const key of keysOf(rough.candidate)) factors.set(key, found);
    },
  };
}

/**
 * The quickest plan with no more than `most` seconds between tokens; of those that are as quick, the one with the least
 * of them.
 */
function quickest(
  plans: readonly (Bounded | Simulated)[],
  { seconds, between }: Pick<CorrectedEstimates, 'seconds' | 'between'>,
  most: number,
): Bounded | Compiled | Simulated | undefined {
  const below = plans.filter((each) => between(each) <= most);
  const least = below.reduce((sofar, each) => Math.min(sofar, seconds(each)), Infinity);
  const asQuick = below.filter((each) => seconds(each) <= least * (1 + AS_QUICK));
  return asQuick.sort((a, b) => between(a) - between(b) || a.index - b.index)[0];
}
