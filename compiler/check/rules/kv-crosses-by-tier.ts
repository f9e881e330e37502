/** Where prefill leaves KV elsewhere than decode reads it, a host tier of the chain hands it over. */
import { report } from '../../diagnostics/catalogue.js';
import type { Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Stage } from '../../plan/plan.js';
import { kvRoomIn } from '../../passes/kv-places.js';
import type { Rule } from './rule.js';

export const kvCrossesByTier: Rule = ({ plan }) => {
  if (plan.kv.tiers.some((tier) => tier.medium === 'host' && kvRoomIn(plan, tier) > 0)) return [];
  const found: Diagnostic[] = [];
  for (const from of plan.stages)
    for (const to of plan.stages) {
      if (from === to || !from.phases.includes('prefill') || !to.phases.includes('decode')) continue;
      if (kvLayout(from) === kvLayout(to)) continue;
      const host = plan.topology.tiers.find((t) => t.medium === 'host');
      found.push(
        report(
          'kv-needs-tier',
          { from: from.name, to: to.name },
          {
            primary: plan.kv.tiers[0]?.origin ?? plan.kv.origin,
            related: [
              { ...from.meshOrigin, label: 'KV is written in this layout' },
              { ...to.meshOrigin, label: 'and read in this one' },
            ],
            helps: host
              ? [`write \`tiers: ${plan.kv.tiers[0]?.name ?? 'gpu'} -> ${host.name}\``]
              : ['declare `tier host { capacity: ... }` in the topology, or use one mesh for both stages'],
          },
        ),
      );
    }
  return found;
};

/** What decides which device holds which part of the KV. */
function kvLayout(stage: Stage): string {
  const { mesh, devices, layerSplit, sharding } = stage;
  return JSON.stringify([mesh, devices, layerSplit, sharding.onTp.includes('kv_heads'), sharding.kvReplicas]);
}
