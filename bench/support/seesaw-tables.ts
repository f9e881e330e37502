/** What the benchmark of Seesaw found, in tables. */
import { formatTable } from '../../cli/format.js';
import { showMesh } from '../../compiler/check/plan/mesh.js';
import type { Mesh } from '../../compiler/plan/plan.js';
import { EFFECTS } from './seesaw-engines.js';
import { gainOf, type Comparison, type Results } from './seesaw-results.js';
import type { Outcome } from './seesaw-search.js';

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

const showRate = (each: Outcome | undefined): string => each?.rate.toFixed(3) ?? '-';
const showPlan = (each: Outcome | undefined): string =>
  each ? `${each.label}, ${each.microbatch}` : 'none fits';
const showGain = (gain: number | undefined): string => (gain === undefined ? '-' : `${gain.toFixed(2)}x`);

function cells(comparison: Comparison): readonly string[] {
  const { fixed, drained, dataflow } = comparison;
  const gain = (each: Outcome | undefined): string => showGain(gainOf(comparison, each));
  return [
    showRate(fixed),
    showPlan(fixed),
    showRate(drained),
    gain(drained),
    showRate(dataflow),
    showPlan(dataflow),
    gain(dataflow),
  ];
}

/**
 * Requests per second of every pair of meshes: rows prefill, columns decode, each with the chunk that suits it best.
 * Where both are one mesh the plan is static. Meshes that nothing fits on are left out.
 */
function pairTable(pairs: readonly Outcome[]): string {
  const meshes = (of: (each: Outcome) => Mesh): readonly string[] => [
    ...new Set(pairs.map((each) => showMesh(of(each)))),
  ];
  const columns = meshes(({ decode }) => decode);
  const rows = meshes(({ prefill }) => prefill).map((prefill) => [
    `(${prefill})`,
    ...columns.map((decode) => {
      const found = pairs.find(
        (each) => showMesh(each.prefill) === prefill && showMesh(each.decode) === decode,
      );
      return found ? `${found.rate.toFixed(3)} (${found.microbatch})` : '-';
    }),
  ]);
  return formatTable([['prefill', ...columns.map((mesh) => `(${mesh})`)], ...rows]);
}

function chunkTable({ label, outcomes }: Results['chunks'][number]): string {
  return formatTable([
    [label, ...outcomes.map(({ microbatch }) => String(microbatch))],
    ['', ...outcomes.map(showRate)],
  ]);
}

/** The least and the greatest of the gains of dataflow. */
function band(comparisons: readonly Comparison[]): string {
  const gains = comparisons.flatMap((each) => gainOf(each, each.dataflow) ?? []);
  return gains.length === 0 ? '-' : `${showGain(Math.min(...gains))} to ${showGain(Math.max(...gains))}`;
}

/** Gains with all effects: with one constant varied at a time, and with several of them against each other as well. */
function bands({ effects, constants, corners }: Pick<Results, 'effects' | 'constants' | 'corners'>): {
  readonly one: string;
  readonly opposed: string;
} {
  const one = [effects.at(-1)!.found, ...constants.map(({ found }) => found)];
  return { one: band(one), opposed: band([...one, ...corners.map(({ found }) => found)]) };
}

/** The tables of one machine, model and workload. */
export function seesawTables({ pairs, chunks, effects, constants, corners }: Results): string {
  const switches = effects.map(({ each, found }) => [
    ...EFFECTS.map((name) => (each[name] ? 'on' : '-')),
    ...cells(found),
  ]);
  const parts = [
    pairTable(pairs),
    ...chunks.map(chunkTable),
    formatTable([[...EFFECTS, ...HEADING], ...switches], [false, false, false, ...RIGHT]),
  ];
  const rows = [...constants, ...corners].map(({ name, found }) => [name, ...cells(found)]);
  const { one, opposed } = bands({ effects, constants, corners });
  const lines = [
    `gain, one constant varied at a time: ${one}`,
    `gain, all-reduce of the two plans varied against each other as well: ${opposed}`,
    `gain, effects off and on: ${band(effects.map(({ found }) => found))}`,
  ];
  parts.push(formatTable([['constant', ...HEADING], ...rows], [false, ...RIGHT]), lines.join('\n'));
  return parts.join('\n\n');
}

/** All combinations side by side, without effects and with all of them, and the means of their gains. */
export function seesawSummary(results: readonly Results[]): string {
  const heading = [
    'combination',
    'static',
    'dataflow',
    'gain',
    ...HEADING,
    'one constant varied',
    'all-reduce opposed too',
  ];
  const rows = results.map((result) => {
    const { machine, model, workload, effects } = result;
    const [none, all] = [effects[0]!.found, effects.at(-1)!.found];
    const ideal = [showRate(none.fixed), showRate(none.dataflow), showGain(gainOf(none, none.dataflow))];
    const { one, opposed } = bands(result);
    return [`${machine} ${model} ${workload}`, ...ideal, ...cells(all), one, opposed];
  });
  const table = formatTable([heading, ...rows], [false, true, true, true, ...RIGHT]);
  const mean = (
    of: (result: Results) => Comparison,
    other: (found: Comparison) => Outcome | undefined,
  ): string => {
    const gains = results.flatMap((each) => gainOf(of(each), other(of(each))) ?? []);
    return showGain(gains.reduce((sum, gain) => sum + gain, 0) / gains.length);
  };
  const none = ({ effects }: Results): Comparison => effects[0]!.found;
  const all = ({ effects }: Results): Comparison => effects.at(-1)!.found;
  const means =
    `mean gain without effects ${mean(none, ({ dataflow }) => dataflow)}, with all ${mean(all, ({ dataflow }) => dataflow)}; ` +
    `with drain and reload ${mean(none, ({ drained }) => drained)} and ${mean(all, ({ drained }) => drained)}`;
  return `${table}\n\n${means}`;
}
