/**
 * `mesh auto` where no workload says more: a sound mesh by a simple rule. `tp` is as wide as the model's dimensions and
 * one group of devices allow, because a group has the fast links; `pp` is then as small as lets weights and one full
 * sequence of KV fit, because every pipeline stage adds bubbles; `dp` takes the rest. Where no mesh has room for a full
 * sequence it is the one with the most: that a stage holds shorter ones only is no error.
 */
import { commonWindow } from '../../model/kv-window.js';
import type { DType } from '../../model/shape.js';
import type { Mesh, PlacedDevice } from '../../plan/plan.js';
import type { SizedModel } from '../../plan/weight-groups.js';
import { kvBytesPerToken, weightBytes, type StageLayout } from './capacity.js';
import { divisors, tpWidths } from './mesh.js';
import { evenSplit, TP_DIMS } from './sharding.js';

export interface ChosenMesh {
  readonly mesh: Mesh;
  readonly why: string;
}

const BY_RULE =
  '`tp` as wide as one group of devices allows, `pp` until weights and one sequence fit, `dp` the rest';
const ROOMIEST = 'no mesh has room for a sequence as long as the context, and this one has the most';

/** A mesh over exactly these devices, or undefined when the weights fit on none. */
export function chooseMesh(
  model: SizedModel,
  kv: DType,
  devices: readonly PlacedDevice[],
  memoryUse: number,
): ChosenMesh | undefined {
  const { shape, weights } = model;
  const groups = new Map<string, number>();
  for (const device of devices) groups.set(device.group, (groups.get(device.group) ?? 0) + 1);
  const groupSize = Math.min(...groups.values());
  const budget = Math.min(...devices.map((d) => d.kind.memory)) * memoryUse;
  const widths = tpWidths(model).filter((tp) => groupSize % tp === 0 && devices.length % tp === 0);
  let roomiest: { readonly mesh: Mesh; readonly tokens: number } | undefined;
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
      const held = weightBytes(shape, weights, layout);
      const tokens = Math.min(...held.map((bytes, i) => (budget - bytes) / kvToken[i]!));
      if (tokens >= (commonWindow(shape) ?? shape.context)) return { mesh, why: BY_RULE };
      if (tokens > (roomiest?.tokens ?? 0)) roomiest = { mesh, tokens };
    }
  return roomiest && { mesh: roomiest.mesh, why: ROOMIEST };
}
