/**
 * Tiers of the chain are beside the devices whose KV goes there: a host tier beside all, as decode takes KV in through it as
 * well, a disk beside those that prefill.
 */
import { report } from '../../diagnostics/catalogue.js';
import { named } from '../../diagnostics/catalogue/entry.js';
import type { Diagnostic } from '../../diagnostics/diagnostic.js';
import { parsePath } from '../../plan/places.js';
import type { KvTier, Plan, Stage } from '../../plan/plan.js';
import { tierFor } from '../../plan/routes.js';
import type { Rule } from './rule.js';

export const tiersBesideDevices: Rule = ({ plan }) =>
  plan.kv.tiers.flatMap((tier) => (tier.medium === 'device' ? [] : missing(plan, tier)));

/** Whether the chain does without a tier: KV goes from stage to stage, and on to disks, through one in host memory. */
function isSpare({ kv }: Plan, { medium, name }: KvTier): boolean {
  return medium === 'disk' || kv.tiers.some((other) => other.medium === 'host' && other.name !== name);
}

/** At most one problem: of the first stage and group that lack the tier. */
function missing(plan: Plan, tier: KvTier): readonly Diagnostic[] {
  const { topology, stages } = plan;
  const { name, medium } = tier;
  for (const stage of stages) {
    if (medium === 'disk' && !stage.phases.includes('prefill')) continue;
    for (const group of new Set(stage.devices.map((id) => topology.devices[id]!.group)))
      if (tierFor(topology, group, name) === undefined) return [lacking(plan, tier, stage, group)];
  }
  return [];
}

function lacking(plan: Plan, tier: KvTier, stage: Stage, group: string): Diagnostic {
  const { name, medium, origin } = tier;
  const topology = plan.topology.name;
  const properties = medium === 'disk' ? 'capacity: ..., path: ...' : 'capacity: ...';
  return report(
    'tier-not-beside',
    { tier: name, stage: stage.name, place: placeOf(group, topology) },
    {
      primary: origin,
      related: [{ ...stage.meshOrigin, label: `KV of ${named('stage', stage.name)} goes there` }],
      helps: [
        `declare \`tier ${name} { ${properties} }\` in ${blockOf(group, topology)}`,
        ...(isSpare(plan, tier) ? [`or leave \`${name}\` out of \`tiers\``] : []),
      ],
    },
  );
}

const placeOf = (group: string, topology: string): string =>
  group === '' ? `topology \`${topology}\`` : `\`${group}\``;

/** The block that declares a group: without the numbers of its instances. */
const blockOf = (group: string, topology: string): string =>
  placeOf(
    group === ''
      ? ''
      : parsePath(group)
          .map(({ name }) => name)
          .join('.'),
    topology,
  );
