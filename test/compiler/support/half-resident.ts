/** Plans whose devices have room for the weights of one stage and for some of what both would take. */
import { compilePlan, type CompileResult } from '../../../compiler/compile.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { fixedBytes } from './fixed-bytes.js';

/**
 * The plan on devices with a little less memory than it takes to keep both shardings, left to decide for itself;
 * undefined where it would keep no layers whatever the memory.
 */
export function halfResident(plan: Plan): Plan | undefined {
  const [both, turns] = (['both', 'switch'] as const).map(
    (residence) => compilePlan({ ...plan, residence }).runtime,
  );
  const on = (bytes: number): Plan => {
    const memory = Math.ceil(bytes / plan.memoryUse);
    const devices = plan.topology.devices.map((device) => ({ ...device, kind: { ...device.kind, memory } }));
    return { ...plan, residence: 'auto', topology: { ...plan.topology, devices } };
  };
  const residence = (bytes: number): CompileResult['transitions']['residence'] =>
    compilePlan(on(bytes)).transitions.residence;
  let enough = Math.max(...both!.devices.map(({ peak }) => peak.total));
  let short = Math.min(...turns!.devices.map((_, index) => fixedBytes(turns!, index)));
  const extra = Math.max(
    ...both!.devices.map(({ peak }, index) => peak.weights - turns!.devices[index]!.peak.weights),
  );
  if (extra <= 0) return undefined;
  while (enough - short > extra / 8) {
    const middle = (enough + short) / 2;
    if (residence(middle)?.both) enough = middle;
    else short = middle;
  }
  const half = [0.5, 0.2, 0.8].map((part) => enough - part * extra).find((bytes) => residence(bytes)?.layers);
  return half === undefined ? undefined : on(half);
}
