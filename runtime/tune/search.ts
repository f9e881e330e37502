/**
 * The search for the best of all candidates for a workload, by simulation. The most promising go first, and a simulation
 * is given up as soon as what it has left to do shows that its plan cannot be among the best any more. What is wanted of
 * a plan decides from when on that is so; nothing else is pruned, so the best are the best of all, but for what is tolerated,
 * and where estimates decide, of what these do not leave out.
 *
 * The search simulates nothing: it asks for trials, and whoever drives it carries them out, here or elsewhere. While as
 * many are under way as may be, the next candidates are compiled.
 *
 * A candidate is looked at closer and closer (`closer-look.ts`) until something shows that it cannot win, at last by a
 * simulation, with bounds of what is left. Of those that are compiled moves of weights are lowered for those alone that are
 * simulated.
 */
import type { Plan } from '../../compiler/plan/plan.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import { exceedsContext } from '../../compiler/planner/held-requests.js';
import { createHeap } from '../../compiler/reshard/heap.js';
import type { SimulatedRequest, Simulation } from '../clock/simulation.js';
import type { TransitionMode } from '../scheduler/types.js';
import { inOrderOf } from './candidate-order.js';
import {
  boundedBy,
  isCompiled,
  likelyBetween,
  lookCloser,
  roughly,
  type Bounded,
  type Compiled,
  type Look,
} from './closer-look.js';
import {
  isLate,
  leastByEstimate,
  outcomeOf,
  ROUNDING,
  type EndedTrial,
  type Goal,
  type Trial,
  type TrialSetting,
} from './trial.js';
import { looksAtOthers } from './looks-at-others.js';
import { alikeInPrefill, needlessBatches } from './needless.js';
import { createSurvey, type Survey, type SurveyOptions } from './survey.js';
import { createTried } from './tried.js';
import { unreachedBatches } from './unreached-batches.js';

/** A candidate whose simulation was carried through. */
export interface Tuned {
  readonly candidate: Candidate;
  readonly plan: Plan;
  readonly simulation: Simulation;
}

/** What became of the candidates; each is counted once. */
export interface TuneCounts {
  readonly candidates: number;
  /** Do not fit the devices, or cannot hold some request. */
  readonly unfit: number;
  /** The same as one with a smaller batch that memory has no room for either, or that was never reached. */
  readonly needless: number;
  /** Cannot win by more than is tolerated: by the bound before they were compiled, and by that of the compiled plan. */
  readonly outbid: number;
  readonly outbidCompiled: number;
  /** Not better than the best by more than is tolerated, as far as estimates tell, where these decide. */
  readonly outestimated: number;
  /** Could not win any more, or by no more than is tolerated, from some point of their simulation on. */
  readonly givenUp: number;
  /** Simulated to the end. */
  readonly simulated: number;
}

const NOTHING_DECIDED = {
  unfit: 0,
  needless: 0,
  outbid: 0,
  outbidCompiled: 0,
  outestimated: 0,
  givenUp: 0,
  simulated: 0,
} as const satisfies Omit<TuneCounts, 'candidates'>;

/** Candidates of which is known what became of them: all, once a search is done. */
export function decided({ candidates: _all, ...each }: TuneCounts): number {
  return Object.values(each).reduce((sum, count) => sum + count, 0);
}

/** What a search has found. */
export interface TuneResult {
  /** Candidates whose simulation was carried through, the best first. */
  readonly ranked: readonly Tuned[];
  /** Candidates whose simulation was given up: seconds that they take, or more. */
  readonly behind: ReadonlyMap<Candidate, number>;
  readonly counts: TuneCounts;
  /**
   * Seconds that nothing which was left out takes less than, by its bounds: infinite where neither estimates nor what is
   * tolerated left out any. Where the goal is throughput no candidate takes less than both that and the last of those wanted.
   */
  readonly leastLeftOut: number;
}

/** What is searched for, and how. */
export interface TuneOptions extends SurveyOptions {
  readonly goal?: Goal;
  /**
   * How many of the best are wanted; pruning leaves those right, but for what is tolerated. Default 1; `all` tries all but
   * those that are needless.
   */
  readonly keep?: number | 'all';
  /** How devices change stage. Default as Fulcrum's do. */
  readonly transitions?: TransitionMode;
  /** Seconds that a plan must take less than to be of interest. */
  readonly within?: number;
  /**
   * Whether what takes longer by its estimate goes out, before its simulation or midway, and where time between tokens
   * counts, what has more of that, or promises too little beside what was tried; see `tried`. Estimates are hardly ever
   * above what plans take, but no bounds. Default false: then what is sure to take longer alone.
   */
  readonly byEstimate?: boolean;
  /**
   * Part of what counts by which a plan may be better that goes out: where estimates decide, by its estimate and before its
   * simulation, and otherwise by its bound, midway as well. For a front, which has steps of its own, it is none. Default 0.
   */
  readonly tolerance?: number;
  /** Of the same candidates and requests, for whoever asks more about them. Default: one of its own, with `engine` and `compile`. */
  readonly survey?: Survey;
  /**
   * How many trials may be under way at once. Default 1. Where there may be more, others are compiled meanwhile. Which
   * plans win does not depend on it, unless estimates decide or something is tolerated: one that is too long may come before
   * what it would lose to.
   */
  readonly atOnce?: number;
}

/** What a search says, now and then. */
export type SearchPart =
  | { readonly kind: 'pause'; readonly found: TuneResult }
  /** Wants a trial begun, and goes on meanwhile. */
  | {
      readonly kind: 'start';
      readonly found: TuneResult;
      readonly trial: Trial;
      readonly setting: TrialSetting;
    }
  /** Can do nothing before a trial that was begun has ended. */
  | { readonly kind: 'await'; readonly found: TuneResult };

/** Whether no estimate of it will be closer. */
function isLookedAt({ estimated }: Bounded): boolean {
  return estimated === 'closely' || estimated === 'no closer';
}

/** Candidates bounded between two times that a search lets others do something. */
const BOUNDS_OF_PART = 200;

/** Searches. Every part may be answered with trials that have ended since, and one that awaits some must be. */
export function* searchInParts(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  options: TuneOptions = {},
): Generator<SearchPart, TuneResult, readonly EndedTrial[]> {
  const { goal = { kind: 'throughput' }, keep = 1, tolerance = 0, atOnce = 1 } = options;
  const counts: Record<keyof typeof NOTHING_DECIDED, number> = { ...NOTHING_DECIDED };
  let ranked: readonly Tuned[] = [];
  const [first] = candidates;
  const behind = new Map<Candidate, number>();
  let leastLeftOut = Infinity;
  if (first === undefined) return { ranked, behind, counts: { candidates: 0, ...counts }, leastLeftOut };
  const found = (): TuneResult => ({
    ranked,
    behind,
    leastLeftOut,
    counts: { candidates: candidates.length, ...counts },
  });
  const pause = (): SearchPart => ({ kind: 'pause', found: found() });
  const survey = options.survey ?? createSurvey(first.base, requests, options);
  const { engine, demand, roughBound } = survey;
  // Whatever the plan: nothing need be tried to know that.
  if (survey.requests.some((each) => exceedsContext(first.base, each))) {
    counts.unfit = candidates.length;
    return found();
  }
  const setting: TrialSetting = {
    engine,
    demand,
    requests: survey.requests,
    transitions: options.transitions ?? 'dataflow',
    goal,
    within: options.within ?? Infinity,
    byEstimate: keep !== 'all' && (options.byEstimate ?? false),
  };
  const search: Search = {
    ...survey,
    ...setting,
    keep: keep === 'all' ? Infinity : keep,
  };
  const quickest =
    setting.byEstimate && goal.kind !== 'throughput'
      ? yield* quickestOf(candidates, { ...options, survey })
      : undefined;
  const inOrder = inOrderOf(goal, setting.byEstimate);
  const queue = createHeap<Bounded>(inOrder);
  const isNeedless = needlessBatches();
  const unreached = unreachedBatches(setting.byEstimate);
  const alike = alikeInPrefill(demand);
  const deadlineOf = (betweenTokens: number, gain?: number): number =>
    Math.min(search.within, keep === 'all' ? Infinity : deadline(betweenTokens, ranked, search, gain));
  /** What goes out by bounds may be better by that part. */
  const tolerated = setting.byEstimate ? 0 : tolerance;
  const by = (next: Bounded, gain = tolerated): number =>
    deadlineOf(setting.byEstimate ? likelyBetween(next) : next.betweenTokens, gain);
  const looks = looksAtOthers();
  let underWay = 0;
  /** Compiled, for when one of those under way has ended. */
  const ready: Compiled[] = [];
  /** Compiled too, of which one of those under way may show that they need not be tried. */
  const deferred: Compiled[] = [];
  const tried = createTried(goal, tolerance);
  /** However trials end, of equals the first goes first. */
  const inRank = (a: Tuned, b: Tuned): number =>
    figure(goal, a) - figure(goal, b) || tried.known(a.candidate).index - tried.known(b.candidate).index;
  const leaveOut = (seconds: number): void => {
    if (setting.byEstimate || tolerated > 0) leastLeftOut = Math.min(leastLeftOut, seconds);
  };
  const outestimate = ({ least }: Bounded): void => {
    counts.outestimated++;
    leaveOut(least);
  };
  const promisesNothing = (next: Bounded): boolean =>
    setting.byEstimate &&
    (goal.kind === 'front' || (goal.kind === 'latency' && keep === 1)) &&
    tried.covers(next, ranked[0]?.candidate);
  const isCovered = (next: Compiled): boolean => {
    const covered = unreached.cover(next, by(next));
    // To be done by then it would have been given up as well.
    if (covered === 'midway') leaveOut(setting.byEstimate ? next.least : by(next));
    return covered !== false || alike.cover(next.candidate);
  };
  const take = (ended: readonly EndedTrial[]): void => {
    underWay -= ended.length;
    for (const each of ended) {
      const { outcome, trial, late = 0 } = each;
      counts[typeof outcome === 'string' ? outcome : 'simulated']++;
      unreached.ended(trial, each);
      if (typeof outcome !== 'string') alike.ended(trial.candidate);
      tried.ended(trial.candidate, each);
      const seconds = typeof outcome === 'string' ? trial.by * (1 + late) : outcome.makespan;
      if (outcome !== 'unfit') looks.tried(tried.known(trial.candidate), seconds);
      if (outcome === 'givenUp') {
        behind.set(trial.candidate, seconds);
        leaveOut(setting.byEstimate ? trial.bound.least(demand) : seconds);
      }
    }
    if (ended.length > 0) for (const each of deferred.splice(0)) queue.push(each);
    const through = ended.flatMap(carriedThrough);
    if (through.length > 0) ranked = [...ranked, ...through].sort(inRank);
  };
  const start = (next: Compiled): Trial => {
    underWay++;
    const { candidate, bound, compiled } = next;
    tried.add(next);
    const { plan, pools, transitions } = compiled;
    const laidOut = { pools, transitions };
    const trial = { candidate, plan, runtime: compiled.runtime(), laidOut, bound, by: by(next) };
    unreached.started(trial);
    return trial;
  };
  if (quickest !== undefined) {
    const { candidate, simulation } = quickest;
    let known: Bounded = boundedBy(
      candidate,
      candidates.indexOf(candidate),
      roughBound(candidate)!.figures(),
    );
    while (!isCompiled(known)) known = lookCloser(known, search)!;
    const trial = start(known);
    const outcome = outcomeOf(simulation, { ...setting, by: trial.by });
    take([{ trial, outcome, reachedBatch: true }]);
  }
  let bounded = 0;
  const boundSome = (end: number): void => {
    for (const most = Math.min(end, bounded + BOUNDS_OF_PART); bounded < most; bounded++) {
      const candidate = candidates[bounded]!;
      const rough = roughBound(candidate, deadlineOf(0));
      if (rough === undefined) counts.unfit++;
      else if (isNeedless(candidate, rough) && candidate !== quickest?.candidate) counts.needless++;
      else if (candidate !== quickest?.candidate) queue.push(boundedBy(candidate, bounded, rough.figures()));
    }
  };
  // Elsewhere the best of the first may be tried while others are bounded: of most of these stages on devices of their
  // own it then shows at once that they are too few.
  const apart = candidates.findIndex(({ strategy }) => strategy === 'disaggregated');
  const early = apart < 0 || atOnce === 1 ? candidates.length : apart;
  for (;;) {
    const boundsMore = bounded < early || underWay > 0 || queue.peek() === undefined;
    if (bounded < candidates.length && boundsMore) {
      boundSome(bounded < early ? early : candidates.length);
      take(yield pause());
      continue;
    }
    const mayLookOn = underWay < atOnce || ready.length < atOnce - 1;
    const held = underWay < atOnce ? ready.shift() : undefined;
    const next = held ?? (mayLookOn ? queue.pop() : undefined);
    if (next === undefined) {
      if (underWay === 0) return found();
      take(yield { kind: 'await', found: found() });
      continue;
    }
    const isOutbid = isLate(next.least, deadlineOf(next.betweenTokens, tolerated));
    const atLeast = isOutbid || !setting.byEstimate ? 0 : looks.atLeast(next);
    if (isOutbid) {
      counts[isCompiled(next) ? 'outbidCompiled' : 'outbid']++;
      if (tolerated > 0) leaveOut(next.least);
    } else if (setting.byEstimate && isLate(Math.max(atLeast, leastByEstimate(next)), by(next, tolerance)))
      outestimate(next);
    // Others may be better than it is known to be by now.
    else if (atLeast > (next.atLeast ?? 0) && inOrder({ ...next, atLeast }, next) > 0)
      queue.push({ ...next, atLeast });
    else if (next.bound !== undefined && next.estimated === undefined) {
      const estimated = roughly(next, next.bound, search);
      looks.add(next, estimated);
      queue.push(estimated);
    } else if (isLookedAt(next) && promisesNothing(next)) outestimate(next);
    else if (!isCompiled(next)) {
      const closer = lookCloser(next, search);
      if (closer === undefined) counts.unfit++;
      else {
        looks.add(next, closer);
        queue.push(closer);
      }
      take(yield pause());
    } else if (isCovered(next)) counts.needless++;
    else if (underWay === atOnce) {
      // Lowered while others are tried.
      next.compiled.runtime();
      ready.push(next);
      take(yield pause());
    } else if (unreached.mayCover(next)) deferred.push(next);
    else {
      const trial = start(next);
      take(yield { kind: 'start', found: found(), trial, setting });
    }
  }
}

/**
 * The plan with the most throughput, as a search for that finds it: what else is wanted of a plan, estimates may mislead
 * further, and none that they leave out is to be missed where that one is known to do.
 */
function* quickestOf(
  candidates: readonly Candidate[],
  options: TuneOptions & Pick<Required<TuneOptions>, 'survey'>,
): Generator<SearchPart, Tuned | undefined, readonly EndedTrial[]> {
  const { requests } = options.survey;
  const search = searchInParts(candidates, requests, { ...options, goal: { kind: 'throughput' }, keep: 1 });
  const counts = { candidates: candidates.length, ...NOTHING_DECIDED };
  const least = options.goal?.kind === 'latency' ? options.goal.floor : 0;
  let part = search.next([]);
  while (!part.done) {
    const ranked = part.value.found.ranked.filter(
      ({ simulation: { makespan } }) => requests.length / makespan >= least,
    );
    part = search.next(yield { ...part.value, found: { ...part.value.found, ranked, counts } });
  }
  return part.value.ranked[0];
}

/** What of a trial goes into the ranking. */
function carriedThrough({ trial: { candidate, plan }, outcome }: EndedTrial): readonly Tuned[] {
  return typeof outcome === 'string' ? [] : [{ candidate, plan, simulation: outcome }];
}

interface Search extends TrialSetting, Look {
  readonly keep: number;
}

/** What plans are ranked by, the least first. */
function figure({ kind }: Goal, { simulation }: Tuned): number {
  return kind === 'latency' ? simulation.latency.betweenTokens : simulation.makespan;
}

/**
 * Seconds by which a candidate with so many seconds between two tokens must be done to matter.
 *
 * @param gain part of what counts by which it must be better than what it displaces; a front has steps of its own
 */
function deadline(betweenTokens: number, ranked: readonly Tuned[], search: Search, gain = 0): number {
  const { goal, keep, requests } = search;
  const worst = ranked[keep - 1]?.simulation;
  switch (goal.kind) {
    case 'throughput':
      return worst === undefined ? Infinity : worst.makespan * (1 - gain);
    case 'latency':
      if (worst !== undefined && betweenTokens >= worst.latency.betweenTokens * (1 - gain)) return 0;
      return (requests.length / goal.floor) * (1 + ROUNDING);
    case 'front':
      return ranked
        .filter(({ simulation }) => simulation.latency.betweenTokens <= betweenTokens)
        .reduce((least, { simulation }) => Math.min(least, simulation.makespan), Infinity);
  }
}
