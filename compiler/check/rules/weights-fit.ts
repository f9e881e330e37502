/** The weights of one stage fit what the plan may use of every device. Workspace is only known after lowering. */
import { report } from '../../diagnostics/catalogue.js';
import type { ModelShape } from '../../model/shape.js';
import { meshPlace } from '../../plan/mesh-place.js';
import type { Plan, Stage } from '../../plan/plan.js';
import { weightBytes } from '../plan/capacity.js';
import { divisors, showMesh, tpWidths } from '../plan/mesh.js';
import { evenSplit, TP_DIMS } from '../plan/sharding.js';
import { formatBinaryBytes, formatBytes, formatQuantity } from '../units.js';
import type { Rule } from './rule.js';

export const weightsFit: Rule = ({ plan }) =>
  plan.stages.flatMap((stage) => {
    const { shape, weights } = plan.model;
    const needed = Math.max(...weightBytes(shape, weights, stage));
    const device = smallestDevice(plan, stage);
    const budget = device.kind.memory * plan.memoryUse;
    if (needed <= budget) return [];
    const { pp, tp } = stage.mesh;
    const { primary, related } = meshPlace(plan, stage);
    return [
      report(
        'weights-do-not-fit',
        {
          stage: stage.name,
          needed: formatBinaryBytes(needed),
          budget: formatBinaryBytes(budget),
          device: device.path,
        },
        {
          primary,
          related: [
            ...related,
            { ...device.kind.origin, label: `${formatBytes(device.kind.memory)} of memory` },
          ],
          notes: [
            `${formatBinaryBytes(budget)} = memory ${formatBytes(device.kind.memory)} x memory_use ${formatQuantity(plan.memoryUse, 'fraction')}`,
            `${formatBinaryBytes(needed)} = weights in ${weights} of the fullest of ${pp} x ${tp} parts (pp x tp)`,
          ],
          helps: roomier(shape, plan, stage, budget),
        },
      ),
    ];
  });

/** The device of a stage with the least memory. */
export function smallestDevice(plan: Plan, stage: Stage): Plan['topology']['devices'][number] {
  return stage.devices
    .map((id) => plan.topology.devices[id]!)
    .reduce((least, d) => (d.kind.memory < least.kind.memory ? d : least));
}

function roomier(shape: ModelShape, plan: Plan, stage: Stage, budget: number): readonly string[] {
  const n = stage.devices.length;
  const fits = tpWidths(plan.model)
    .filter((tp) => n % tp === 0)
    .flatMap((tp) => divisors(n / tp).map((pp) => ({ dp: n / tp / pp, pp, tp })))
    .filter((mesh) => {
      if (mesh.pp > shape.layers) return false;
      const layerSplit = evenSplit(shape.layers, mesh.pp);
      const layout = { mesh, layerSplit, sharding: { onTp: TP_DIMS, kvReplicas: 1 }, overrides: [] };
      return Math.max(...weightBytes(shape, plan.model.weights, layout)) <= budget;
    });
  if (fits.length > 0)
    return [
      `they fit with ${fits
        .slice(0, 6)
        .map((m) => `mesh (${showMesh(m)})`)
        .join(' or ')}`,
    ];
  return [`no mesh of these ${n} devices holds them: use more devices or a smaller element type`];
}
