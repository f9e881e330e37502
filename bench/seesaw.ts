/**
 * What re-sharding gains on the machines, models and workloads of Seesaw (arXiv 2503.06433), by simulation. Constants
 * are fixed in plans/seesaw from their sources; nothing is fitted to a result.
 *
 *   npm run bench:seesaw -- [--requests N] [--keep FOLDER] [machine] [model] [workload]
 *   npm run bench:seesaw -- facts
 *
 * For each combination that has the names given it prints every pair of meshes, and then the best static plan beside the
 * best re-sharded one: with each effect of the engine off and on, and with the uncertain constants varied, one at a time
 * and those of all-reduce against each other; behind several combinations a table of them all. Every search has plans of its
 * own to find, static and re-sharded. `--requests` cuts the workload. `--keep` writes what each search finds into a folder
 * and takes it from there where it is already, so that a run can be stopped and gone on with: a folder is for one state of
 * the code and of the plans.
 * `facts` prints what was measured of engines on such a machine beside what the model says.
 */
import { formatTable } from '../cli/format.js';
import { asked } from './support/arguments.js';
import { pickCombinations, seesawArguments } from './support/seesaw-arguments.js';
import { seesawCombinations, seesawRequests } from './support/seesaw-cases.js';
import { seesawFacts } from './support/seesaw-facts.js';
import { keptFind } from './support/seesaw-kept.js';
import { seesawResults } from './support/seesaw-results.js';
import { seesawSummary, seesawTables } from './support/seesaw-tables.js';

function reportFacts(): void {
  const rows = seesawFacts().map(({ what, unit, measured, predicted, fromHere }) => [
    what,
    unit,
    String(measured),
    predicted < 1 ? predicted.toFixed(3) : predicted.toFixed(0),
    `${(100 * (predicted / measured - 1)).toFixed(0)}%`,
    fromHere ? 'a constant is from here' : '',
  ]);
  const heading = ['what', 'unit', 'measured', 'predicted', 'error', ''];
  console.log(formatTable([heading, ...rows], [false, false, true, true, true]));
}

/** Runs the combinations that have all of the names, every one without names. */
export function benchSeesaw(args: readonly string[]): void {
  const wanted = asked('seesaw', seesawArguments(args));
  if (wanted.facts) return reportFacts();
  const { requests: count, keep: folder } = wanted;
  const picked = asked('seesaw', pickCombinations(seesawCombinations(), wanted.words));
  const all = picked.map(({ names, plan, workload }) => {
    const title = names.join(' ');
    const requests = seesawRequests(workload, plan).slice(0, count);
    const cut = requests.filter((each) => each.cut).length;
    const note = cut > 0 ? `, the answers of ${cut} cut by the context` : '';
    console.log(`\n${title}: ${requests.length} requests${note}\n`);
    const results = seesawResults(
      { machine: names[0], model: names[1], workload: names[2] },
      plan,
      requests,
      keptFind(title, requests.length, folder),
    );
    console.log(seesawTables(results));
    return results;
  });
  if (all.length > 1) console.log(`\n${seesawSummary(all)}`);
}

benchSeesaw(process.argv.slice(2));
