/**
 * What the tuner misses by estimates where nothing is like the machines that these were measured on: the search that
 * `fulcrum tune` makes, with its tolerance, beside the exhaustive one, for devices, links, models and workloads drawn at random.
 *
 *   npm run bench:tune-random -- [searches] [seed]
 *
 * Prints every search whose plan takes over 1 % longer than the best, with its seed: `-- 1 SEED file` prints the plan file
 * of that seed.
 */
import { candidateLabel, findCandidates, STRATEGIES } from '../compiler/planner/candidates.js';
import type { TuneResult } from '../runtime/tune/search.js';
import { TOLERANCE } from '../runtime/tune/search-effort.js';
import { tune } from '../runtime/tune/tune.js';
import { formatSignedPercent, formatTable } from '../cli/format.js';
import { asked, countAsked, inPlaces } from './support/arguments.js';
import { randomSearch, type MemoryKind } from './support/random-searches.js';

/** How a search by estimates ended beside the exhaustive one. */
interface Compared {
  readonly memory: MemoryKind;
  readonly longer: number;
  readonly tried: number;
  readonly triedOfAll: number;
}

function argumentsOf(args: readonly string[]): { searches: number; seed: number; file: boolean } | string {
  const placed = inPlaces(args, 3);
  if (typeof placed === 'string') return placed;
  const [searches = '200', seed = '1', file] = placed;
  const [count, first] = [countAsked('searches', searches), countAsked('seed', seed)];
  if (typeof count === 'string') return count;
  if (typeof first === 'string') return first;
  if (file !== undefined && file !== 'file') return `nothing is asked for by \`${file}\``;
  return { searches: count, seed: first, file: file !== undefined };
}

function triedOf({ counts }: TuneResult): number {
  return counts.simulated + counts.givenUp;
}

/** Both searches of a seed; undefined where no plan fits. */
function compare(seed: number): Compared | undefined {
  const { memory, plan, requests, sizes } = randomSearch(seed);
  const candidates = findCandidates(plan, STRATEGIES, sizes);
  const quick = tune(candidates, requests, { byEstimate: true, tolerance: TOLERANCE });
  const every = tune(candidates, requests);
  const [found, best] = [quick, every].map(({ ranked }) => ranked[0]);
  if (best === undefined) return undefined;
  const longer = found === undefined ? Infinity : found.simulation.makespan / best.simulation.makespan - 1;
  if (longer > TOLERANCE) {
    const labels = [found, best].map((each) => (each ? candidateLabel(each.candidate) : 'none'));
    console.log(`seed ${seed}: ${formatSignedPercent(longer, 2)}, ${labels[0]} in place of ${labels[1]}`);
  }
  return { memory, longer, tried: triedOf(quick), triedOfAll: triedOf(every) };
}

function row(memory: string, all: readonly Compared[]): readonly string[] {
  const within = (part: number): string => String(all.filter(({ longer }) => longer <= part).length);
  const mean = (of: (each: Compared) => number): number =>
    all.reduce((sum, each) => sum + of(each), 0) / all.length;
  return [
    memory,
    String(all.length),
    within(1e-9),
    within(0.001),
    within(TOLERANCE),
    formatSignedPercent(
      mean(({ longer }) => longer),
      2,
    ),
    formatSignedPercent(Math.max(...all.map(({ longer }) => longer)), 2),
    mean(({ tried }) => tried).toFixed(1),
    mean(({ triedOfAll }) => triedOfAll).toFixed(1),
  ];
}

const { searches, seed, file } = asked('tune-random', argumentsOf(process.argv.slice(2)));
if (file) console.log(randomSearch(seed).text);
else {
  const compared: Compared[] = [];
  for (let i = 0; i < searches; i++) {
    const each = compare(seed + i);
    if (each !== undefined) compared.push(each);
    if (i % 10 === 9) console.error(`${i + 1}/${searches}`);
  }
  const HEADING = ['memory', 'searches', 'the best', '0.1 %', '1 %', 'mean', 'most', 'tried', 'tried of all'];
  const rows = (['tight', 'any'] as const).map((memory) =>
    row(
      memory,
      compared.filter((each) => each.memory === memory),
    ),
  );
  console.log(formatTable([HEADING, ...rows], [false, ...HEADING.slice(1).map(() => true)]));
}
