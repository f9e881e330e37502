/**
 * What the tuner misses by estimates: the search that `fulcrum tune` makes, with its tolerance,
 * beside the exhaustive one, for the machines, models and workloads of plans/seesaw, cut to the first requests. Every
 * exhaustive search follows the other in the same process, so that ratios of times are rough.
 *
 *   npm run bench:tune -- [requests] [machine | model | workload ...]
 */
import { checkFile } from '../compiler/check/check-file.js';
import type { Plan } from '../compiler/plan/plan.js';
import type { Workload } from '../compiler/plan/workload.js';
import { candidateLabel, findCandidates, STRATEGIES } from '../compiler/planner/candidates.js';
import { sizeChoices } from '../compiler/planner/size-choices.js';
import { fileHost } from '../runtime/file-host.js';
import type { TuneOptions, TuneResult } from '../runtime/tune/search.js';
import { tune } from '../runtime/tune/tune.js';
import { formatSignedPercent, formatTable } from '../cli/format.js';
import { requestsOf } from '../cli/workloads.js';

const MACHINES = ['l4', 'a10', 'a100'];
const QUICK: TuneOptions = { byEstimate: true, tolerance: 0.01 };

interface Timed extends TuneResult {
  readonly seconds: number;
}

function timed(search: () => TuneResult): Timed {
  const start = performance.now();
  const result = search();
  return { ...result, seconds: (performance.now() - start) / 1000 };
}

function row(machine: string, plan: Plan, workload: Workload, most: number): readonly string[] {
  const chosen = requestsOf(workload, plan.model.shape.context);
  if (chosen.kind !== 'requests') throw new Error(chosen.message);
  const requests = chosen.requests.slice(0, most);
  const candidates = findCandidates(plan, STRATEGIES, sizeChoices(plan, requests));
  const [quick, every] = [QUICK, {}].map((how) => timed(() => tune(candidates, requests, how)));
  const cells = ({ ranked, counts, seconds }: Timed): readonly string[] => [
    String(counts.simulated + counts.givenUp),
    seconds.toFixed(1),
    ranked[0] === undefined ? 'none' : candidateLabel(ranked[0].candidate),
  ];
  const longer = quick!.ranked[0]!.simulation.makespan / every!.ranked[0]!.simulation.makespan - 1;
  const plans = String(candidates.length);
  return [
    `${machine} ${plan.name} ${workload.name}`,
    plans,
    ...cells(quick!),
    ...cells(every!),
    formatSignedPercent(longer, 2),
  ];
}

const args = process.argv.slice(2);
const most = args.map(Number).find((each) => each >= 1) ?? 100;
const wanted = args.filter((each) => Number.isNaN(Number(each)));
const HEADING = ['', 'plans', 'tried', 's', 'best', 'tried of all', 's', 'best of all', 'longer by'];
const rows: (readonly string[])[] = [];
for (const machine of MACHINES) {
  const { plans, importedWorkloads } = checkFile(fileHost(), `plans/seesaw/${machine}.plan`);
  for (const plan of plans)
    for (const workload of importedWorkloads) {
      const names = [machine, plan.name, workload.name];
      if (!wanted.every((each) => names.includes(each))) continue;
      rows.push(row(machine, plan, workload, most));
      console.error(rows.at(-1)!.join('  '));
    }
}
console.log(formatTable([HEADING, ...rows], [false, true, true, true, false, true, true, false, true]));
