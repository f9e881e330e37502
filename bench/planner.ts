/**
 * How long the compiler plans: changes of layout inside meshes of one to three axes, each search from a new source and
 * an answer that is known already; and the moves of weights between meshes, up to the largest plan that is shipped.
 *
 *   npm run bench:planner
 */
import { fileHost } from '../runtime/file-host.js';
import { checkFile } from '../compiler/check/check-file.js';
import { compilePlan } from '../compiler/compile.js';
import { area } from '../compiler/ir/rectangles.js';
import type { Sharding } from '../compiler/ir/sharded.js';
import type { Mesh } from '../compiler/plan/plan.js';
import type { LayoutShape } from '../compiler/reshard/layouts.js';
import { planWeights } from '../compiler/reshard/plan-weights.js';
import { roadsOf } from '../compiler/reshard/roads.js';
import { layoutPlanner } from '../compiler/reshard/search.js';
import { wholeLayouts } from '../test/compiler/support/arbitrary-layouts.js';
import { timed } from './support/timed.js';

const LINK = { latency: 1e-6, bandwidth: 50e9 };
const LINKS = { dp: LINK, pp: LINK, tp: LINK };
const MESHES: readonly Mesh[] = [
  { dp: 1, pp: 1, tp: 8 },
  { dp: 4, pp: 1, tp: 8 },
  { dp: 4, pp: 2, tp: 8 },
];
const SHAPE: LayoutShape = {
  dims: [
    { name: 'tokens', size: 4096 },
    { name: 'heads', size: 64 },
    { name: 'hidden', size: 8192 },
  ],
  elementBytes: 2,
};

function median(times: number[]): number {
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

function milliseconds(run: () => void): number {
  return 1e3 * timed(run).seconds;
}

function layoutRow(mesh: Mesh): string {
  const layouts = wholeLayouts(SHAPE, { mesh, links: LINKS });
  const planner = layoutPlanner({ mesh, links: LINKS });
  const [first] = layouts;
  const ask = (source: Sharding): void => {
    if (!planner.path(SHAPE, source, first!)) throw new Error('no way');
  };
  // Compiled by now.
  for (let round = 0; round < 20; round++) ask(layouts.at(-1)!);
  const fresh = layouts.slice(0, -1).map((source) => milliseconds(() => ask(source)));
  const known = layouts.map((source) => milliseconds(() => ask(source)));
  const axes = Object.values(mesh).filter((size) => size > 1).length;
  const ms = (value: number): string => `${value.toFixed(3)} ms`;
  return [
    `${axes} ${axes === 1 ? 'axis' : 'axes'}, ${layouts.length} layouts`,
    `search ${ms(median(fresh))} (worst ${ms(Math.max(...fresh))})`,
    `known ${ms(median(known))}`,
  ].join(', ');
}

function reshardRows(file: string): readonly string[] {
  const { plans } = checkFile(fileHost(), file);
  return plans.flatMap((plan) => {
    const { transitions } = compilePlan(plan);
    const roads = roadsOf(plan.topology);
    return transitions.weights.map(({ from, to }) => {
      const ends = [transitions.holdings[from]!, transitions.holdings[to]!] as const;
      const times = [1, 2, 3, 4, 5].map(() =>
        milliseconds(() => planWeights(...ends, (piece) => area(piece) * 2, roads)),
      );
      return `${file}, ${plan.name}, ${from} -> ${to} on ${ends[1].length} ranks: ${median(times).toFixed(1)} ms`;
    });
  });
}

console.log('layouts inside a mesh');
for (const mesh of MESHES) console.log(`  ${layoutRow(mesh)}`);
console.log('moves of weights');
for (const file of ['plans/clerk.plan', 'plans/seesaw-70b.plan', 'plans/pod.plan'])
  for (const row of reshardRows(file)) console.log(`  ${row}`);
