/**
 * How close the estimates come by which `fulcrum tune` decides what to simulate: for the machines, models and workloads of
 * plans/seesaw, cut to the first requests, the plans of each kind that promise most are simulated. Prints by which part of
 * the estimate a simulation is longer, of whole workloads and of the time between tokens.
 *
 *   npm run bench:estimates -- [requests] [machine | model | workload | strategy ...]
 */
import { groupBy } from '../compiler/group-by.js';
import {
  candidateBound,
  candidateHostPages,
  pagesBehindDevices,
  type PlanBound,
} from '../compiler/planner/bound.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  STRATEGIES,
  type Candidate,
  type Strategy,
} from '../compiler/planner/candidates.js';
import { sizeChoices } from '../compiler/planner/size-choices.js';
import { simulate } from '../runtime/clock/simulate.js';
import { createSurvey } from '../runtime/tune/survey.js';
import { answersAll } from '../runtime/tune/trial.js';
import { formatSignedPercent, formatTable } from '../cli/format.js';
import { asked } from './support/arguments.js';
import { caseArguments, pickCombinations } from './support/seesaw-arguments.js';
import { seesawCases, type SeesawCase } from './support/seesaw-cases.js';

/** Plans of a kind that are simulated for a workload, and those of them with the same meshes. */
const MOST = 12;
const MOST_ALIKE = 4;

/** Plans whose rough estimates are longer by more than this part than the shortest promise nothing. */
const PROMISING = 0.15;

/** By which part simulations are longer than estimates. */
interface Errors {
  readonly strategy: Strategy;
  readonly close: number;
  readonly rough: number;
  readonly between: number;
}

interface Estimated {
  readonly candidate: Candidate;
  readonly bound: PlanBound;
  readonly seconds: number;
}

/** Those with the shortest rough estimates, a few of each pair of meshes. */
function mostPromising(estimated: readonly Estimated[]): readonly Estimated[] {
  const alike = new Map<string, number>();
  const sorted = [...estimated].sort((a, b) => a.seconds - b.seconds);
  const promising = sorted.filter(({ seconds }) => seconds <= sorted[0]!.seconds * (1 + PROMISING));
  const some = promising.filter(({ candidate }) => {
    const label = candidateLabel(candidate);
    const before = alike.get(label) ?? 0;
    alike.set(label, before + 1);
    return before < MOST_ALIKE;
  });
  return some.slice(0, MOST);
}

function errorsOf({ plan, requests }: SeesawCase, strategy: Strategy): readonly Errors[] {
  const candidates = findCandidates(plan, [strategy], sizeChoices(plan, requests));
  const { context, demand, compile, requests: whole } = createSurvey(plan, requests);
  const estimated = candidates.flatMap((candidate) => {
    const bound = candidateBound(candidate, context);
    return bound?.fits(demand, candidateHostPages(candidate))
      ? [{ candidate, bound, seconds: bound.estimate.roughly(demand) }]
      : [];
  });
  return mostPromising(estimated).flatMap(({ candidate, bound }) => {
    const each = candidatePlan(candidate);
    const compiled = compile(each);
    if (compiled.diagnostics.some(({ severity }) => severity === 'error')) return [];
    const simulation = simulate(compiled.runtime(), each, requests);
    if (!answersAll(simulation, whole)) return [];
    const exact = bound.compiled(compiled);
    const close = exact.estimate.closely(demand, false, pagesBehindDevices(candidate));
    if (close === undefined) return [];
    const { makespan, latency } = simulation;
    return [
      {
        strategy,
        close: makespan / close.seconds - 1,
        rough: makespan / exact.estimate.roughly(demand) - 1,
        between: latency.betweenTokens / close.betweenTokens - 1,
      },
    ];
  });
}

function rowsOf(strategy: Strategy, errors: readonly Errors[]): readonly (readonly string[])[] {
  return (['close', 'rough', 'between'] as const).map((what) => {
    const sorted = errors.map((each) => each[what]).sort((a, b) => a - b);
    const at = (part: number): string =>
      formatSignedPercent(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!, 2);
    return [strategy, what, String(sorted.length), ...[0, 0.1, 0.5, 0.9, 1].map(at)];
  });
}

const { most, words } = asked('estimates', caseArguments(process.argv.slice(2)));
const cases = seesawCases(most).flatMap((seesaw) =>
  STRATEGIES.map((strategy) => ({ names: [...seesaw.names, strategy], seesaw, strategy })),
);
const all: Errors[] = [];
for (const { names, seesaw, strategy } of asked('estimates', pickCombinations(cases, words))) {
  const errors = errorsOf(seesaw, strategy);
  all.push(...errors);
  console.error(`${names.join(' ')}: ${errors.length} plans`);
}
const HEADING = ['', 'estimate', 'plans', 'least', 'a tenth', 'half', 'nine tenths', 'most'];
const rows = [...groupBy(all, ({ strategy }) => strategy)].flatMap(([strategy, errors]) =>
  rowsOf(strategy, errors),
);
console.log(formatTable([HEADING, ...rows], [false, false, true, true, true, true, true, true]));
