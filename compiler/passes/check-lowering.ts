/** What the runtime graph cannot express, found before anything is lowered. */
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import type { KvReshard } from '../ir/transitions.js';
import type { Plan } from '../plan/plan.js';

/** Errors for the ways of KV between stages that lowering has no answer to. */
export function checkLowering(plan: Plan, edges: readonly KvReshard[]): readonly Diagnostic[] {
  return edges
    .filter((edge) => edge.path === 'tier' && edge.tier === undefined)
    .map((edge) =>
      report(
        'kv-needs-tier',
        { from: edge.from, to: edge.to },
        {
          primary: edge.origin,
          related: [{ ...plan.kv.origin, label: 'no host tier in this chain' }],
          helps: ['add a host tier to the topology and to `tiers`'],
        },
      ),
    );
}
