/**
 * Links are the only roads: everything that the plan will move has one. Movements are tensor-parallel sums, what a
 * pipeline stage sends to the next, KV down and up its tiers, and weights uploaded when a stage is switched. That tiers are
 * there where KV goes is another rule: see `tiers-beside-devices.ts`.
 */
import { report } from '../../diagnostics/catalogue.js';
import { named } from '../../diagnostics/catalogue/entry.js';
import type { Diagnostic, Origin } from '../../diagnostics/diagnostic.js';
import type { Plan, Stage } from '../../plan/plan.js';
import { parsePath, printPath } from '../../plan/places.js';
import { routesOf, tierFor, tiersFor } from '../../plan/routes.js';
import { needsTransition } from '../plan/flow.js';
import { kvCrossesByTier } from './kv-crosses-by-tier.js';
import type { Rule } from './rule.js';

interface Movement {
  readonly what: string;
  readonly from: string;
  readonly to: string;
  readonly origin: Origin;
}

export const movementsHaveRoutes: Rule = (input) => {
  const { plan, sources } = input;
  const routes = routesOf(plan.topology);
  const failed = new Map<string, Diagnostic>();
  const movements = [
    ...plan.stages.flatMap((stage) => {
      const { axes } = sources.get(stage.name)!;
      return meshMovements(plan, stage, axes.tp ?? stage.meshOrigin, axes.pp ?? stage.meshOrigin);
    }),
    ...tierMovements(plan),
    // Where KV has no host tier to cross by, that is said already, and weights lack the same tier.
    ...(kvCrossesByTier(input).length > 0 ? [] : uploads(plan)),
  ];
  for (const { what, from, to, origin } of movements) {
    if (failed.has(what) || routes.find(from, to)) continue;
    failed.set(
      what,
      report(
        'no-route',
        { movement: what, from: `\`${from}\``, to: `\`${to}\`` },
        {
          primary: origin,
          related: [{ ...plan.topology.origin, label: 'links of this topology' }],
          helps: roads(plan, from, to),
        },
      ),
    );
  }
  return [...failed.values()];
};

/** What to declare so that there is a road. */
function roads(plan: Plan, from: string, to: string): readonly string[] {
  const exists = (path: string): boolean =>
    [...plan.topology.devices, ...plan.topology.tiers].some((p) => p.path === path);
  const absent = [from, to].filter((path) => !exists(path));
  const [a, b] = [parsePath(from), parsePath(to)];
  const shared = Math.min(a.length, b.length) - 1;
  let depth = 0;
  while (depth < shared && printPath(a.slice(0, depth + 1)) === printPath(b.slice(0, depth + 1))) depth++;
  const bare = (parts: typeof a): string => parts.map((p) => p.name).join('.');
  const inside = depth === 0 ? '' : ` in \`${bare(a.slice(0, depth))}\``;
  const link = `\`link ${bare(a.slice(depth))} <-> ${bare(b.slice(depth))} { bandwidth: ... }\`${inside}`;
  return [...absent.map((tier) => `declare \`tier ${tier} { capacity: ... }\``), `declare ${link}`];
}

function meshMovements(plan: Plan, stage: Stage, tpOrigin: Origin, ppOrigin: Origin): readonly Movement[] {
  const { dp, pp, tp } = stage.mesh;
  const path = (d: number, p: number, t: number): string =>
    plan.topology.devices[stage.devices[(d * pp + p) * tp + t]!]!.path;
  const found: Movement[] = [];
  for (let d = 0; d < dp; d++)
    for (let p = 0; p < pp; p++)
      for (let t = 0; t < tp; t++) {
        if (t > 0)
          found.push({
            what: `the sum over \`tp\` of ${named('stage', stage.name)}`,
            from: path(d, p, t - 1),
            to: path(d, p, t),
            origin: tpOrigin,
          });
        if (p > 0)
          found.push({
            what: `sending activations down the pipeline of ${named('stage', stage.name)}`,
            from: path(d, p - 1, t),
            to: path(d, p, t),
            origin: ppOrigin,
          });
      }
  return found;
}

function tierMovements(plan: Plan): readonly Movement[] {
  const found: Movement[] = [];
  const reached = new Set<string>();
  for (const id of new Set(plan.stages.flatMap(({ devices }) => devices))) {
    const device = plan.topology.devices[id]!;
    let from = device.path;
    for (const tier of plan.kv.tiers) {
      const to = tier.medium === 'device' ? undefined : tierFor(plan.topology, device.group, tier.name)?.path;
      if (to === undefined) continue;
      const hop = `${from} ${to}`;
      if (!reached.has(hop))
        found.push({ what: `KV going to tier \`${tier.name}\``, from, to, origin: tier.origin });
      reached.add(hop);
      from = to;
    }
  }
  return [...found, ...handOver(plan)];
}

/**
 * KV that one set of devices writes and another reads goes from the tier of the one to the tier of the other: from each
 * instance to each. Links lead both ways and roads join up, so those from the first instance and those to the first are
 * enough: where they exist, the others do.
 */
function handOver(plan: Plan): readonly Movement[] {
  const tier = plan.kv.tiers.find((t) => t.medium === 'host');
  if (!tier) return [];
  const instances = ({ devices }: Stage): readonly string[] => {
    const groups = devices.map((id) => plan.topology.devices[id]!.group);
    return tiersFor(plan.topology, groups, tier.name).map(({ path }) => path);
  };
  const found: Movement[] = [];
  for (const a of plan.stages)
    for (const b of plan.stages) {
      if (a === b || !a.phases.includes('prefill') || !b.phases.includes('decode')) continue;
      const what = `KV going from ${named('stage', a.name)} to ${named('stage', b.name)}`;
      const [starts, ends] = [instances(a), instances(b)];
      const pairs = [
        ...starts.slice(0, 1).flatMap((from) => ends.map((to) => [from, to] as const)),
        ...ends.slice(0, 1).flatMap((to) => starts.slice(1).map((from) => [from, to] as const)),
      ];
      for (const [from, to] of pairs) if (from !== to) found.push({ what, from, to, origin: b.origin });
    }
  return found;
}

function uploads(plan: Plan): readonly Movement[] {
  const found: Movement[] = [];
  for (const to of plan.stages) {
    if (!plan.stages.some((from) => from !== to && needsTransition(from, to))) continue;
    for (const id of to.devices) {
      const device = plan.topology.devices[id]!;
      const names = [...new Set(plan.topology.tiers.filter((t) => t.medium === 'host').map((t) => t.name))];
      const host = names.map((n) => tierFor(plan.topology, device.group, n)).find((t) => t !== undefined);
      found.push({
        what: `weights going to the devices of ${named('stage', to.name)}`,
        from: host?.path ?? 'host',
        to: device.path,
        origin: to.meshOrigin,
      });
    }
  }
  return found;
}
