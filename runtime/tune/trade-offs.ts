/**
 * What there is beside the plan with the most throughput: plans with less time between tokens, in wide steps, as people
 * weigh the one against the other. All by estimates: none is simulated. No bound says that there is no better one, and one
 * microbatch alone is looked at; a search for the front (see `Goal`) takes more care, and longer.
 */
import type { Candidate } from '../../compiler/planner/candidates.js';
import { numbered } from '../../compiler/numbered.js';
import { createRoughBound } from '../../compiler/planner/rough-bound.js';
import { usualSeconds } from './candidate-order.js';
import { isCompiled, lookCloser, roughly, type Bounded, type Compiled, type Look } from './closer-look.js';
import { meshKeys } from './mesh-key.js';
import type { Tuned } from './search.js';
import type { Survey } from './survey.js';

/** A plan that fits, by its estimates. */
export interface TradeOff {
  readonly candidate: Candidate;
  readonly seconds: number;
  readonly betweenTokens: number;
}

/** Each has so much less time between tokens than the one before. */
const LESS_BETWEEN = 0.25;

/** Of plans that are as quick but for this the one with the least time between tokens is shown. */
const AS_QUICK = 0.03;

/** The quickest by their bounds, of which every one is estimated. */
const MOST_ESTIMATED = 1000;

/** Closer looks in all, of up to thirty milliseconds each. */
const MOST_LOOKS = 40;

/** Estimates that differ by less are the same. */
const ALIKE = 1e-3;

/** Candidates bounded, or estimated, between two pauses. */
const PART = 100;

/**
 * Plans with less and less time between tokens than the best, with pauses, the quickest first.
 *
 * @param best that with the most throughput of those candidates
 */
export function* tradeOffsInParts(
  candidates: readonly Candidate[],
  best: Tuned,
  survey: Survey,
): Generator<void, readonly TradeOff[]> {
  const look: Look = { ...survey, goal: { kind: 'front' }, byEstimate: true };
  let most = best.simulation.latency.betweenTokens * (1 - LESS_BETWEEN);
  const bounded = yield* boundedBelow(most, alike(candidates, best.candidate), look);
  let left = withoutTwins(yield* estimated(bounded, look));
  const corrected = correctedBetween();
  const found: TradeOff[] = [];
  for (let looks = 0; looks < MOST_LOOKS; looks++) {
    const next = quickest(left, corrected.between, most);
    if (next === undefined) break;
    left = left.filter((each) => each !== next);
    if (isCompiled(next)) {
      found.push({ candidate: next.candidate, seconds: usualSeconds(next), betweenTokens: next.between });
      most = next.between * (1 - LESS_BETWEEN);
      continue;
    }
    const closer = lookCloser(next, look);
    if (closer !== undefined) {
      const there = estimatedAtAll(closer, look);
      corrected.look(next, there);
      left.push(there);
    }
    yield;
  }
  return found;
}

/** Those with its microbatch. */
function alike(candidates: readonly Candidate[], best: Candidate): readonly Candidate[] {
  const { microbatchTokens } = best.stages[0]!;
  return candidates.filter(({ stages }) => stages[0]!.microbatchTokens === microbatchTokens);
}

/** Those that fit and may have so few seconds between tokens, or less, by their bounds; the quickest of many. */
function* boundedBelow(
  most: number,
  candidates: readonly Candidate[],
  { demand, context }: Look,
): Generator<void, readonly Bounded[]> {
  const roughBound = createRoughBound(demand, context);
  const bounded: Bounded[] = [];
  for (const [index, candidate] of candidates.entries()) {
    if (index % PART === PART - 1) yield;
    const figures = roughBound(candidate)?.figures();
    if (figures === undefined || figures.betweenTokens > most) continue;
    bounded.push({ candidate, index, ...figures, between: figures.betweenTokens });
  }
  return bounded.sort((a, b) => a.least - b.least).slice(0, MOST_ESTIMATED);
}

/** With estimates, of those that still fit by a closer bound. */
function* estimated(bounded: readonly Bounded[], look: Look): Generator<void, Bounded[]> {
  const found: Bounded[] = [];
  for (const [place, each] of bounded.entries()) {
    if (place % PART === PART - 1) yield;
    const closer = each.bound === undefined ? lookCloser(each, look) : each;
    if (closer !== undefined) found.push(estimatedAtAll(closer, look));
  }
  return found;
}

function estimatedAtAll(each: Bounded, look: Look): Bounded {
  return each.estimated === undefined ? roughly(each, each.bound!, look) : each;
}

/** Of plans with the same meshes of which estimates are the same, the first: they differ in what is never reached. */
function withoutTwins(plans: readonly Bounded[]): Bounded[] {
  const meshesOf = meshKeys();
  const rounded = (value: number): number => Math.round(Math.log(value) / ALIKE);
  const known = new Map<string, Bounded>();
  for (const each of [...plans].sort((a, b) => a.index - b.index)) {
    const key = [meshesOf(each.candidate), rounded(each.estimate), rounded(each.between)].join();
    if (!known.has(key)) known.set(key, each);
  }
  return [...known.values()];
}

interface CorrectedBetween {
  readonly between: (each: Bounded) => number;
  /** A rough estimate has been followed by a close one. */
  readonly look: (rough: Bounded, closer: Bounded) => void;
}

/** Time between tokens: what a rough estimate leaves out of it, plans that decode on the same mesh have in common. */
function correctedBetween(): CorrectedBetween {
  const idOf = numbered<unknown>();
  const keyOf = ({ strategy, stages }: Candidate): string =>
    [strategy, idOf(stages.at(-1)!.devices), idOf(stages.at(-1)!.mesh)].join();
  const factors = new Map<string, number>();
  return {
    between: ({ candidate, between, estimated }) =>
      estimated === 'roughly' ? between * (factors.get(keyOf(candidate)) ?? 1) : between,
    look(rough, closer) {
      if (rough.estimated !== 'roughly' || closer.estimated !== 'closely') return;
      factors.set(keyOf(rough.candidate), closer.between / rough.between);
    },
  };
}

/**
 * Of those with no more time between tokens than that the quickest, or what is as quick and has the least of it.
 *
 * @param between seconds between tokens, as far as is known
 */
function quickest(
  plans: readonly Bounded[],
  between: (each: Bounded) => number,
  most: number,
): Bounded | Compiled | undefined {
  const below = plans.filter((each) => between(each) <= most);
  const least = below.reduce((seconds, each) => Math.min(seconds, usualSeconds(each)), Infinity);
  const asQuick = below.filter((each) => usualSeconds(each) <= least * (1 + AS_QUICK));
  return asQuick.sort((a, b) => between(a) - between(b) || a.index - b.index)[0];
}
