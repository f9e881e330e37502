/**
 * What the tuner misses by estimates where time between tokens counts, for the machines, models and workloads of
 * plans/seesaw, cut to the first requests. Prints one table for each of these:
 *
 * - floor: searches with 40, 75 and 95 % of the most throughput as their floor, beside exhaustive ones
 * - front: searches for the front, beside exhaustive ones: plans of the whole front that none which is shown comes as
 *   near as its steps, and by how much the worst of them is beyond that
 * - trade-offs: the lines that a search for throughput shows with a `~`, by which part their simulation differs
 *
 *   npm run bench:tune-goals -- [requests] [floor | front | trade-offs] [machine | model | workload ...]
 */
import { groupBy } from '../compiler/group-by.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  STRATEGIES,
  type Candidate,
} from '../compiler/planner/candidates.js';
import { sizeChoices } from '../compiler/planner/size-choices.js';
import { simulate } from '../runtime/clock/simulate.js';
import type { Simulation } from '../runtime/clock/simulation.js';
import { runThrough } from '../runtime/run-through.js';
import type { TuneOptions, TuneResult } from '../runtime/tune/search.js';
import { TOLERANCE } from '../runtime/tune/search-effort.js';
import { createSurvey } from '../runtime/tune/survey.js';
import { tradeOffsInParts } from '../runtime/tune/trade-offs.js';
import { STEP_OF_BETWEEN, STEP_OF_SECONDS } from '../runtime/tune/tried.js';
import { tune } from '../runtime/tune/tune.js';
import { formatSignedPercent, formatTable } from '../cli/format.js';
import { asked } from './support/arguments.js';
import { caseArguments, pickCombinations } from './support/seesaw-arguments.js';
import { seesawCases, type SeesawCase } from './support/seesaw-cases.js';

type Rows = readonly (readonly string[])[];

/** Parts of the most throughput. */
const FLOORS = [0.4, 0.75, 0.95];

interface Topic {
  readonly heading: readonly string[];
  readonly rowsOf: (each: SeesawCase, candidates: readonly Candidate[]) => Rows;
}

const TOPICS: Readonly<Record<string, Topic>> = {
  floor: {
    heading: ['floor', 'tried', 'best', 'tried of all', 'best of all', 'more between tokens'],
    rowsOf: floorRows,
  },
  front: {
    heading: ['tried', 'shown', 'tried of all', 'of all', 'none near', 'beyond the steps by'],
    rowsOf: frontRows,
  },
  'trade-offs': { heading: ['plan', 'throughput', 'between tokens'], rowsOf: tradeOffRows },
};

function tried({ counts }: TuneResult): string {
  return String(counts.simulated + counts.givenUp);
}

function floorRows({ requests }: SeesawCase, candidates: readonly Candidate[]): Rows {
  const quick: TuneOptions = { byEstimate: true, tolerance: TOLERANCE };
  const { makespan } = tune(candidates, requests, quick).ranked[0]!.simulation;
  return FLOORS.map((part) => {
    const goal = { kind: 'latency', floor: (part * requests.length) / makespan } as const;
    const found = tune(candidates, requests, { ...quick, goal });
    const every = tune(candidates, requests, { goal });
    const [best, bestOfAll] = [found, every].map(({ ranked }) => ranked[0]!);
    const between = ({ simulation }: { readonly simulation: Simulation }): number =>
      simulation.latency.betweenTokens;
    return [
      `${100 * part} %`,
      ...[tried(found), candidateLabel(best!.candidate)],
      ...[tried(every), candidateLabel(bestOfAll!.candidate)],
      formatSignedPercent(between(best!) / between(bestOfAll!) - 1, 2),
    ];
  });
}

function frontRows({ requests }: SeesawCase, candidates: readonly Candidate[]): Rows {
  const goal = { kind: 'front' } as const;
  const found = tune(candidates, requests, { goal, byEstimate: true });
  const every = tune(candidates, requests, { goal });
  const [shown, all] = [found, every].map(frontOf);
  /** By which part the nearest that is shown is beyond its steps. */
  const beyond = all!.map((each) =>
    shown!.reduce((least, other) => {
      const late = other.makespan / each.makespan / (1 + STEP_OF_SECONDS) - 1;
      const slow = other.latency.betweenTokens / each.latency.betweenTokens / (1 + STEP_OF_BETWEEN) - 1;
      return Math.min(least, Math.max(0, late, slow));
    }, Infinity),
  );
  return [
    [
      ...[tried(found), String(shown!.length), tried(every), String(all!.length)],
      String(beyond.filter((each) => each > 0).length),
      formatSignedPercent(Math.max(...beyond), 2),
    ],
  ];
}

/** Those that no other beats in both, the one with the most throughput first. */
function frontOf({ ranked }: TuneResult): readonly Simulation[] {
  const front: Simulation[] = [];
  const inOrder = ranked
    .map(({ simulation }) => simulation)
    .sort((a, b) => a.makespan - b.makespan || a.latency.betweenTokens - b.latency.betweenTokens);
  for (const each of inOrder) {
    const least = front.at(-1)?.latency.betweenTokens ?? Infinity;
    if (each.latency.betweenTokens < least) front.push(each);
  }
  return front;
}

function tradeOffRows({ plan, requests }: SeesawCase, candidates: readonly Candidate[]): Rows {
  const survey = createSurvey(plan, requests);
  const { ranked, behind } = tune(candidates, requests, { byEstimate: true, tolerance: TOLERANCE, survey });
  const [best, ...others] = ranked;
  return runThrough(tradeOffsInParts(candidates, [best!, ...others], survey, behind))
    .filter(({ isSimulated }) => !isSimulated)
    .map(({ candidate, seconds, betweenTokens }) => {
      const each = candidatePlan(candidate);
      const { makespan, latency } = simulate(survey.compile(each).runtime(), each, requests);
      return [
        candidateLabel(candidate),
        formatSignedPercent(seconds / makespan - 1, 2),
        formatSignedPercent(latency.betweenTokens / betweenTokens - 1, 2),
      ];
    });
}

const { most, words } = asked('tune-goals', caseArguments(process.argv.slice(2)));
const cases = Object.keys(TOPICS).flatMap((topic) =>
  seesawCases(most).map((seesaw) => ({ names: [...seesaw.names, topic], seesaw, topic })),
);
const picked = asked('tune-goals', pickCombinations(cases, words));
for (const [topic, ofTopic] of groupBy(picked, (each) => each.topic)) {
  const { heading, rowsOf } = TOPICS[topic]!;
  const rows: (readonly string[])[] = [];
  for (const { seesaw } of ofTopic) {
    const { names, plan, requests } = seesaw;
    const candidates = findCandidates(plan, STRATEGIES, sizeChoices(plan, requests));
    for (const row of rowsOf(seesaw, candidates)) {
      rows.push([names.join(' '), ...row]);
      console.error(topic, rows.at(-1)!.join('  '));
    }
  }
  console.log(`${topic}\n${formatTable([['', ...heading], ...rows])}\n`);
}
