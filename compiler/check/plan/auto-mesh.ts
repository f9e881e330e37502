/**
 * `mesh auto` where no workload says more: a sound mesh by a simple rule. `tp` is as wide as the model's dimensions and
 * one group of devices allow, because a group has the fast links; `pp` is then as small as lets weights and one full
 * sequence of KV fit, because every pipeline stage adds bubbles; `dp` takes the rest.
 */
import { commonWindow } from '../../model/kv-window.js';
import type { DType } from '../../model/shape.js';
import type { Mesh, PlacedDevice } from '../../plan/plan.js';
import type { SizedModel } from '../../plan/weight-groups.js';
import { kvBytesPerToken, weightBytes, type StageLayout } from './capacity.js';
import { divisors, tpWidths } from './mesh.js';
import { evenSplit, TP_DIMS } from './sharding.js';

/** A mesh over exactly these devices, or undefined when the model fits on none. */
export function chooseMesh(
  model: SizedModel,
  kv: DType,
  devices: readonly PlacedDevice[],
  memoryUse: number,
): Mesh | undefined {
  const { shape, weights } = model;
  const groups = new Map<string, number>();
  for (const device of devices) groups.set(device.group, (groups.get(device.group) ?? 0) + 1);
  const groupSize = Math.min(...groups.values());
  const budget = Math.min(...devices.map((d) => d.kind.memory)) * memoryUse;
  const widths = tpWidths(model).filter((tp) => groupSize % tp === 0 && devices.length % tp === 0);
  for (const tp of [...widths].reverse())
    for (const pp of divisors(devices.length / tp)) {
      if (pp > shape.layers) break;
      const mesh: Mesh = { dp: devices.length / (tp * pp), pp, tp };
      const layout: StageLayout = {
        mesh,
        layerSplit: evenSplit(shape.layers, pp),
        sharding: { onTp: TP_DIMS, kvReplicas: 1 },
        overrides: [],
      };
      const kvToken = kvBytesPerToken(shape, kv, layout);
      const tokens = commonWindow(shape) ?? shape.context;
      const needed = weightBytes(shape, weights, layout).map((w, i) => w + kvToken[i]! * tokens);
      if (Math.max(...needed) <= budget) return mesh;
    }
  return undefined;
}
