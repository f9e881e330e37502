/** What the tuner found, for people. */
import { formatBytes } from '../compiler/check/units.js';
import { decided, type TuneCounts, type TuneResult } from '../runtime/tune/search.js';
import type { TradeOff } from '../runtime/tune/trade-offs.js';
import { STEP_OF_BETWEEN, STEP_OF_SECONDS } from '../runtime/tune/tried.js';
import { formatCount, formatDuration, formatRequestRate, formatTable, plural } from './format.js';
import {
  noneFits,
  tunedReport,
  type Searched,
  type TradeOffReport,
  type TunedPlanReport,
} from './tune-report.js';

/**
 * A table of the best, with some that were simulated to the end beside them below a line; a star marks those that no other
 * beats in throughput and in time between tokens. Of a front it has those alone. Trade-offs follow, those that are not
 * simulated below a line of theirs.
 *
 * @param most the most rows, trade-offs aside
 */
export function describeTuned(
  result: TuneResult,
  searched: Searched,
  most: number,
  tradeOffs: readonly TradeOff[] = [],
): string {
  const { plans, counts, leastLeftOut, ...report } = tunedReport(result, searched, tradeOffs);
  const proven = leastLeftOut === undefined ? undefined : provenPart(leastLeftOut, plans[0]);
  const rest = [...describeOwn(searched, plans[0]), ...describeSearch(searched, counts, proven)];
  if (plans.length === 0) return [whyNone(searched, counts), ...rest].join('\n');
  const best = plans[0]!;
  const offered = new Set(tradeOffs.flatMap((each) => (each.isSimulated ? [each.candidate] : [])));
  // Of a front those that some other beats in both are hundreds, and in nobody's way.
  const shown =
    searched.goal.kind === 'front'
      ? plans.filter(({ pareto }) => pareto).slice(0, most)
      : plans.filter((_, place) => place < most || offered.has(result.ranked[place]!.candidate));
  // What is not known to be next in rank has none, but for a search that was interrupted: it says so of all.
  const ranked =
    searched.interrupted || searched.goal.kind === 'front'
      ? shown.length
      : Math.min(searched.top, shown.length);
  const ofBest = ({ requestsPerSecond }: TradeOffReport): string =>
    `${(requestsPerSecond / best.requestsPerSecond).toFixed(2)}x`;
  const rows = shown.map((plan, place) => [
    plan.pareto ? '*' : '',
    ...describeLayout(plan),
    ...describeFigures(plan),
    plan.meanDecodeBatch.toFixed(1),
    String(plan.transitions),
    place < ranked ? ofBest(plan) : '',
  ]);
  const estimated = report.tradeOffs.map((plan) => [
    '~',
    ...describeLayout(plan),
    ...describeFigures(plan).map((figure) => `~${figure}`),
    '',
    '',
    `~${ofBest(plan)}`,
  ]);
  const heading = [
    '',
    'strategy',
    'meshes',
    'microbatch',
    'batch',
    'host KV',
    'requests/s',
    'tokens/s',
    'time',
    'between tokens',
    'decode batch',
    'transitions',
    'of best',
  ];
  const table = formatTable(
    [heading, ...rows, ...estimated],
    [false, false, false, true, true, true, true, true, true, true, true, true, true],
  );
  const [head, ...lines] = table.split('\n');
  const beside = lines.slice(ranked, shown.length);
  const others = 'simulated to the end as well; others that were not may be better than these:';
  const note = '* no other of those simulated has more throughput and less time between tokens';
  return [
    head,
    ...lines.slice(0, ranked),
    ...(beside.length === 0 ? [] : [others, ...beside]),
    ...(estimated.length === 0 ? [] : [ESTIMATED, ...lines.slice(shown.length)]),
    note,
    ...rest,
  ].join('\n');
}

const ROUGHLY =
  'plans with less time between tokens are not shown by estimates, which are rough where prompts begin alike or the model has a window; --front simulates them';
const ESTIMATED = 'estimated, not simulated, with less time between tokens; --front simulates such plans:';

function describeLayout({ strategy, label, stages, hostKvBytes: hostKv }: TradeOffReport): readonly string[] {
  return [
    strategy,
    label,
    String(stages[0]!.microbatchTokens),
    String(stages.at(-1)!.batchRequests),
    hostKv === undefined ? '' : formatBytes(hostKv),
  ];
}

function describeFigures(plan: TradeOffReport): readonly string[] {
  return [
    formatRequestRate(plan.requestsPerSecond),
    formatCount(plan.tokensPerSecond),
    formatDuration(plan.makespan),
    formatBetweenTokens(plan.betweenTokens),
  ];
}

/** Seconds as text, in milliseconds, so that lines compare at a glance, unless too little is left of it. */
function formatBetweenTokens(seconds: number): string {
  return seconds < 0.01 ? formatDuration(seconds) : `${(1000 * seconds).toFixed(1)} ms`;
}

/** A line that says by how much the plan as it is would be better than what was found. */
function describeOwn({ own, byEstimate }: Searched, best: TunedPlanReport | undefined): readonly string[] {
  if (own === undefined) return [];
  const { plan, requestsPerSecond, betweenTokens, leftOut } = own;
  const ratio = requestsPerSecond / (best?.requestsPerSecond ?? NaN);
  const figures = [
    `${formatRequestRate(requestsPerSecond)} requests/s`,
    // A little may decide.
    ...(best === undefined ? [] : [`${ratio.toFixed(Math.abs(ratio - 1) < 0.005 ? 3 : 2)}x of the best`]),
    `${formatBetweenTokens(betweenTokens)} between tokens`,
  ].join(', ');
  const by = byEstimate ? 'estimates' : 'what was tolerated';
  const why = leftOut ? `left out by ${by}` : 'laid out as none of those tried';
  return [`plan ${plan} as it is, ${why}, is better: ${figures}`];
}

function whyNone({ interrupted, strategies, unheld, mostPromised }: Searched, counts: TuneCounts): string {
  if (interrupted) return 'no plan simulated yet';
  if (counts.candidates === 0)
    return `there is no such plan: these devices and tiers leave nothing ${strategies.join(' or ')}`;
  if (!noneFits(counts)) {
    const most = mostPromised === undefined ? '' : formatRequestRate(mostPromised);
    const promised = most === '' ? '' : `: by their bounds none is faster than ${most} requests/s`;
    return `no plan that fits is as fast as asked${promised}`;
  }
  if (unheld === undefined) return 'no plan fits';
  const { requests, place, longest } = unheld;
  const lengths = `${plural(longest.promptTokens, 'prompt token')} and ${formatCount(longest.outputTokens)} of output`;
  const which = `request ${formatCount(place + 1)} of the workload has ${lengths}`;
  return `no plan fits: ${plural(requests, 'request')} can never fit; ${which}`;
}

/** @param one what is said of a single plan, where that differs */
function describeCount([count, many, one = many]: readonly [
  count: number,
  many: string,
  one?: string,
]): readonly string[] {
  return count === 0 ? [] : [`${formatCount(count)} ${count === 1 ? one : many}`];
}

const STEPS = [
  `a front in steps by estimates: ${STEP_OF_BETWEEN * 100} % less time between tokens for what is slower`,
  `${STEP_OF_SECONDS * 100} % less time for what has more of that; --exhaustive finds every plan on it`,
].join(', ');

/** The part of the time of the best by which what was left out takes less, at most; undefined without a best. */
function provenPart(leastLeftOut: number, best: TunedPlanReport | undefined): number | undefined {
  return best && Math.max(0, 1 - leastLeftOut / best.makespan);
}

/** `12.5 %`: a part, rounded up in its third digit. */
function formatPart(part: number): string {
  return `${Number((Math.ceil(1e4 * part * (1 - 1e-9)) / 100).toPrecision(6))} %`;
}

/**
 * What estimates have left out.
 *
 * @param proven the part of the time of the best by which what was left out takes less, at most, by bounds
 */
function describeEstimates({ goal, tolerance = 0 }: Searched, proven: number | undefined): string {
  if (goal.kind === 'front') return STEPS;
  const part = formatPart(tolerance);
  const [most, none] =
    goal.kind === 'latency'
      ? [`promises at most ${part} less time between tokens`, 'promises no less time between tokens']
      : [`is at most ${part} quicker by them`, 'is no quicker by them'];
  const left = tolerance > 0 ? `what they left out ${most} (see --tolerance)` : `what they left out ${none}`;
  const chose = `estimates chose what to simulate: ${left}`;
  if (proven === undefined) return `${chose}; --exhaustive goes by proven bounds alone`;
  // Rounded up: it is to be right.
  const atMost = proven === 0 ? 'no quicker' : `at most ${Math.ceil(100 * proven)} %`;
  return `${chose} and ${atMost} by proven bounds; --exhaustive goes by these alone`;
}

/** What bounds have left out although it may be better, where that was asked for. */
function describeTolerated(
  { goal, tolerance = 0 }: Searched,
  { outbid, outbidCompiled, givenUp, simulated }: TuneCounts,
  proven = tolerance,
): readonly string[] {
  if (tolerance === 0 || simulated === 0 || outbid + outbidCompiled + givenUp === 0) return [];
  const atMost = (part: number, what: string): string =>
    part === 0 ? `no ${what}` : `at most ${formatPart(part)} ${what}`;
  const left =
    goal.kind === 'latency'
      ? `and is as fast as asked has ${atMost(tolerance, 'less time between tokens')}`
      : `is ${atMost(proven, 'quicker')}`;
  return [`by proven bounds, what they left out ${left} (see --tolerance)`];
}

/** What was tried, and what became of it. */
function describeSearch(
  searched: Searched,
  counts: TuneCounts,
  proven: number | undefined,
): readonly string[] {
  const { goal, sizes, strategies, byEstimate, tolerance = 0, roughly, interrupted, cut } = searched;
  const { candidates, unfit, needless, outbid, outbidCompiled, outestimated, givenUp, simulated } = counts;
  const caps = sizes.hostKvBytes?.map((bytes) => formatBytes(bytes)).join(', ');
  const tried = [
    strategies.join(', '),
    `microbatch ${sizes.microbatchTokens.join(', ')}`,
    `batch ${sizes.batchRequests.join(', ')}`,
    ...(caps === undefined ? [] : [`host KV ${caps}`]),
  ].join('; ');
  const chosen = byEstimate && simulated + givenUp > 0 && outestimated + givenUp > 0;
  const unseen = candidates - decided(counts);
  const estimated = `estimated to ${goal.kind === 'throughput' ? 'take longer' : 'be no better'}`;
  const more = !byEstimate && tolerance > 0 ? ' by more than is tolerated' : '';
  const became = [
    [unfit, 'do not fit', 'does not fit'],
    [needless, 'have batches that are never reached', 'has a batch that is never reached'],
    [outbid, `cannot win${more} by their bound`, `cannot win${more} by its bound`],
    [
      outbidCompiled,
      `cannot win${more} by their bound once compiled`,
      `cannot win${more} by its bound once compiled`,
    ],
    [outestimated, `are ${estimated}`, `is ${estimated}`],
    [givenUp, 'fell behind in their simulation', 'fell behind in its simulation'],
    [simulated, 'simulated to the end'],
    [unseen, 'not looked at'],
  ] as const;
  return [
    `${plural(candidates, 'plan')} over all meshes: ${tried}`,
    ...(candidates === 0 ? [] : [became.flatMap(describeCount).join(', ')]),
    ...(chosen ? [describeEstimates(searched, proven)] : []),
    ...(byEstimate ? [] : describeTolerated(searched, counts, proven)),
    ...(roughly && simulated > 0 ? [ROUGHLY] : []),
    ...(cut > 0 ? [`${plural(cut, 'answer')} cut short by the context of the model, with every plan`] : []),
    ...(interrupted ? [simulated > 0 ? 'interrupted: these are the best so far' : 'interrupted'] : []),
  ];
}
