/**
 * What the tuner misses by estimates: the search that `fulcrum tune` makes, with its tolerance,
 * beside the exhaustive one, for the machines, models and workloads of plans/seesaw, cut to the first requests. Every
 * exhaustive search follows the other in the same process, so that ratios of times are rough.
 *
 *   npm run bench:tune -- [requests] [machine | model | workload ...]
 */
import { candidateLabel, findCandidates, STRATEGIES } from '../compiler/planner/candidates.js';
import { sizeChoices } from '../compiler/planner/size-choices.js';
import type { TuneOptions, TuneResult } from '../runtime/tune/search.js';
import { TOLERANCE } from '../runtime/tune/search-effort.js';
import { tune } from '../runtime/tune/tune.js';
import { formatSignedPercent, formatTable } from '../cli/format.js';
import { asked } from './support/arguments.js';
import { caseArguments, pickCombinations } from './support/seesaw-arguments.js';
import { seesawCases, type SeesawCase } from './support/seesaw-cases.js';
import { timed } from './support/timed.js';

const QUICK: TuneOptions = { byEstimate: true, tolerance: TOLERANCE };

function row({ names, plan, requests }: SeesawCase): readonly string[] {
  const candidates = findCandidates(plan, STRATEGIES, sizeChoices(plan, requests));
  const [quick, every] = [QUICK, {}].map((how) => timed(() => tune(candidates, requests, how)));
  const cells = ({ value, seconds }: ReturnType<typeof timed<TuneResult>>): readonly string[] => [
    String(value.counts.simulated + value.counts.givenUp),
    seconds.toFixed(1),
    value.ranked[0] === undefined ? 'none' : candidateLabel(value.ranked[0].candidate),
  ];
  const longer =
    quick!.value.ranked[0]!.simulation.makespan / every!.value.ranked[0]!.simulation.makespan - 1;
  const plans = String(candidates.length);
  return [names.join(' '), plans, ...cells(quick!), ...cells(every!), formatSignedPercent(longer, 2)];
}

const { most, words } = asked('tune', caseArguments(process.argv.slice(2)));
const cases = asked('tune', pickCombinations(seesawCases(most), words));
const HEADING = ['', 'plans', 'tried', 's', 'best', 'tried of all', 's', 'best of all', 'longer by'];
const rows: (readonly string[])[] = [];
for (const each of cases) {
  rows.push(row(each));
  console.error(rows.at(-1)!.join('  '));
}
console.log(formatTable([HEADING, ...rows], [false, true, true, true, false, true, true, false, true]));
