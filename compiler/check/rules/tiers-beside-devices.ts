/**
 * Tiers of the chain are beside the devices whose KV goes there: a host tier beside all, as decode takes KV in through it as
 * well, a disk beside those that prefill.
 */
import { report } from '../../diagnostics/catalogue.js';
import type { Diagnostic } from '../../diagnostics/diagnostic.js';
import { parsePath } from '../../plan/places.js';
import type { KvTier, Plan, Stage } from '../../plan/plan.js';
import { tierFor } from '../../plan/routes.js';
import type { Rule } from './rule.js';

export const tiersBesideDevices: Rule = ({ plan }) =>
  plan.kv.tiers.flatMap((tier) => (tier.medium === 'device' ? [] : missing(plan, tier)));

/** At most one problem: of the first stage and group that lack the tier. */
function missing({ topology, stages }: Plan, tier: KvTier): readonly Diagnostic[] {
  const { name, medium } = tier;
  for (const stage of stages) {
    if (medium === 'disk' && !stage.phases.includes('prefill')) continue;
    for (const group of new Set(stage.devices.map((id) => topology.devices[id]!.group)))
      if (tierFor(topology, group, name) === undefined)
        return [lacking(tier, stage, placeOf(group, topology.name), blockOf(group, topology.name))];
  }
  return [];
}

function lacking({ name, medium, origin }: KvTier, stage: Stage, place: string, block: string): Diagnostic {
  const properties = medium === 'disk' ? 'capacity: ..., path: ...' : 'capacity: ...';
  return report(
    'tier-not-beside',
    { tier: name, stage: stage.name, place },
    {
      primary: origin,
      related: [{ ...stage.meshOrigin, label: `KV of \`${stage.name}\` goes there` }],
      helps: [
        `declare \`tier ${name} { ${properties} }\` in ${block}`,
        ...(medium === 'disk' ? [`or leave \`${name}\` out of \`tiers\``] : []),
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
