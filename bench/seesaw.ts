/**
 * What re-sharding gains on the machines, models and workloads of Seesaw (arXiv 2503.06433), by simulation. Constants
 * are fixed in plans/seesaw from their sources; nothing is fitted to a result.
 *
 *   npm run bench:seesaw -- [--requests N] [--short] [machine | model | workload ...]
 *   npm run bench:seesaw -- facts
 *
 * For each combination it prints every pair of meshes, and then the best static plan beside the best re-sharded one:
 * with each effect of the engine off and on, and with the uncertain constants varied. `--short` prints no more than the
 * best plans without effects and with all, `--requests` cuts the workload. `facts` prints
 * what was measured of engines on such a machine beside what the model says.
 */
import { resolve } from 'node:path';
import { checkFile } from '../compiler/check/check-file.js';
import { showMesh } from '../compiler/check/plan/mesh.js';
import type { EngineModel } from '../compiler/cost/engine-model.js';
import { meshesOver, planDevices } from '../compiler/planner/candidates.js';
import type { Plan } from '../compiler/plan/plan.js';
import type { Workload } from '../compiler/plan/workload.js';
import { drawRequests } from '../runtime/clock/lengths.js';
import type { SimulatedRequest } from '../runtime/clock/simulation.js';
import { fileHost } from '../runtime/file-host.js';
import { formatTable } from '../cli/format.js';
import {
  ALL_EFFECTS,
  EFFECT_SETS,
  EFFECTS,
  engineWith,
  NO_EFFECTS,
  variations,
} from './support/seesaw-engines.js';
import { seesawFacts } from './support/seesaw-facts.js';
import { createSearcher, type Outcome, type Searcher } from './support/seesaw-search.js';

const MACHINES = ['a10', 'l4', 'a100'];

/** The best plans of an engine on a machine. */
interface Comparison {
  readonly fixed: Outcome | undefined;
  /** Re-sharded as the paper's engine changes stage: all steps end, every weight is loaded anew. */
  readonly drained: Outcome | undefined;
  /** Re-sharded as Fulcrum changes stage. */
  readonly dataflow: Outcome | undefined;
}

function compare(searcher: Searcher, engine: EngineModel): Comparison {
  const reload: EngineModel = { ...engine, fullReload: true };
  return {
    fixed: searcher.best('static', { engine, transitions: 'dataflow' }),
    dataflow: searcher.best('re-sharded', { engine, transitions: 'dataflow' }),
    drained: searcher.best('re-sharded', { engine: reload, transitions: 'barrier' }),
  };
}

function gainOf({ fixed }: Comparison, other: Outcome | undefined): number | undefined {
  return fixed && other && other.rate / fixed.rate;
}

const HEADING = [
  'static',
  'meshes, chunk',
  'drain, reload',
  'gain',
  'dataflow',
  'meshes, microbatch',
  'gain',
];
const RIGHT = [true, false, true, true, true, false, true];

function cells(comparison: Comparison): readonly string[] {
  const { fixed, drained, dataflow } = comparison;
  const rate = (each: Outcome | undefined): string => each?.rate.toFixed(3) ?? '-';
  const gain = (each: Outcome | undefined): string => {
    const value = gainOf(comparison, each);
    return value === undefined ? '-' : `${value.toFixed(2)}x`;
  };
  const label = (each: Outcome | undefined): string => each?.label ?? 'none fits';
  return [
    rate(fixed),
    label(fixed),
    rate(drained),
    gain(drained),
    rate(dataflow),
    label(dataflow),
    gain(dataflow),
  ];
}

/**
 * Requests per second of every pair of meshes: rows prefill, columns how decode splits heads. Where both are one mesh
 * the plan is static, with the chunk that suits it best.
 */
function pairTable(plan: Plan, searcher: Searcher): string {
  const how = { engine: engineWith(ALL_EFFECTS), transitions: 'dataflow' } as const;
  const fixed = searcher.every('static', how);
  const pairs = searcher.every('re-sharded', how);
  const meshes = meshesOver(plan, planDevices(plan).length);
  const widths = [...new Set(meshes.map(({ tp }) => tp))];
  const rows = meshes.map((prefill) => {
    const mine = [...fixed, ...pairs].filter((each) => showMesh(each.prefill) === showMesh(prefill));
    return [
      `(${showMesh(prefill)})`,
      ...widths.map((tp) => {
        const found = mine.filter(({ decode }) => decode.tp === tp).sort((a, b) => b.rate - a.rate)[0];
        if (found === undefined) return '-';
        return tp === prefill.tp ? `${found.rate.toFixed(3)} (${found.microbatch})` : found.rate.toFixed(3);
      }),
    ];
  });
  return formatTable([['prefill', ...widths.map((tp) => `decode tp ${tp}`)], ...rows]);
}

function band(name: string, gains: readonly (number | undefined)[]): string {
  const known = gains.filter((gain): gain is number => gain !== undefined);
  if (known.length === 0) return `${name}: -`;
  return `${name}: ${Math.min(...known).toFixed(2)}x to ${Math.max(...known).toFixed(2)}x`;
}

/** Prints the tables of one machine, model and workload. */
function report(plan: Plan, requests: readonly SimulatedRequest[], short: boolean): void {
  const searcher = createSearcher(plan, requests);
  if (!short) console.log(`\n${pairTable(plan, searcher)}`);

  const shown = short ? [NO_EFFECTS, ALL_EFFECTS] : EFFECT_SETS;
  const effects = shown.map((each) => ({ each, found: compare(searcher, engineWith(each)) }));
  const switches = effects.map(({ each, found }) => [
    ...EFFECTS.map((name) => (each[name] ? 'on' : '-')),
    ...cells(found),
  ]);
  console.log(`\n${formatTable([[...EFFECTS, ...HEADING], ...switches], [false, false, false, ...RIGHT])}`);
  if (short) return;

  const all = engineWith(ALL_EFFECTS);
  const varied = variations(plan).map(({ name, plan: each }) => ({
    name,
    found: compare(createSearcher(each, requests), all),
  }));
  const rows = varied.map(({ name, found }) => [name, ...cells(found)]);
  console.log(`\n${formatTable([['constant', ...HEADING], ...rows], [false, ...RIGHT])}\n`);

  const { found: whole } = effects.at(-1)!;
  const constants = [whole, ...varied.map(({ found }) => found)];
  console.log(
    band(
      'gain, constants varied',
      constants.map((each) => gainOf(each, each.dataflow)),
    ),
  );
  console.log(
    band(
      'gain, effects off and on',
      effects.map(({ found }) => gainOf(found, found.dataflow)),
    ),
  );
}

/** The number behind an option; undefined where it is not given. */
function numberAfter(args: readonly string[], option: string): number | undefined {
  const at = args.indexOf(option);
  return at < 0 ? undefined : Number(args[at + 1]);
}

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

/** Runs the combinations that the words pick out of machine, model and workload; all without words. */
export function benchSeesaw(args: readonly string[]): void {
  if (args.includes('facts')) return reportFacts();
  const count = numberAfter(args, '--requests');
  const words = args.filter((arg, i) => !arg.startsWith('--') && args[i - 1] !== '--requests');
  const { workloads } = checkFile(fileHost(), resolve('plans/seesaw/workloads.plan'));
  for (const machine of MACHINES) {
    const { plans } = checkFile(fileHost(), resolve(`plans/seesaw/${machine}.plan`));
    for (const plan of plans) {
      for (const workload of workloads) {
        const names = [machine, plan.name, workload.name];
        if (!words.every((word) => names.includes(word))) continue;
        const requests = requestsOf(workload, plan).slice(0, count);
        console.log(`\n${names.join(', ')}: ${requests.length} requests`);
        report(plan, requests, args.includes('--short'));
      }
    }
  }
}

function requestsOf({ name, requests }: Workload, plan: Plan): readonly SimulatedRequest[] {
  if (requests.kind !== 'drawn') throw new Error(`workload ${name} is a file`);
  return drawRequests(requests, plan.model.shape.context);
}

benchSeesaw(process.argv.slice(2));
