/** What the runtime graph cannot express, found before anything is lowered. */
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import type { ShardedGraph, ShardedStage } from '../ir/sharded.js';
import type { KvReshard } from '../ir/transitions.js';
import type { Plan } from '../plan/plan.js';

/** Problems of a sharded plan that lowering has no answer to; errors, in stage order. */
export function checkLowering(
  plan: Plan,
  sharded: ShardedGraph,
  edges: readonly KvReshard[],
): readonly Diagnostic[] {
  return [
    ...sharded.stages.flatMap((stage) => unevenHeads(stage)),
    ...edges
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
      ),
  ];
}

/** The only exchange within a layer is the all-reduce; others arise where heads and kv_heads lie differently. */
function unevenHeads(stage: ShardedStage): readonly Diagnostic[] {
  const blocks = [stage.embed, ...stage.layers.map((layer) => layer.block), stage.head];
  const op = blocks
    .flatMap((block) => block.ops)
    .find((candidate) => 'axis' in candidate && (candidate.kind !== 'all_reduce' || candidate.axis !== 'tp'));
  if (op === undefined || !('axis' in op)) return [];
  const split = op.kind === 'slice' ? 'heads' : 'kv_heads';
  const whole = split === 'heads' ? 'kv_heads' : 'heads';
  return [
    report(
      'heads-disagree',
      { split, whole },
      { primary: op.origin, notes: [`${op.kind} needed: ${op.reason}`] },
    ),
  ];
}
