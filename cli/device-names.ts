/** Devices that have something in common, named shortly for people. */
import type { RuntimeDevice } from '../compiler/ir/runtime-graph.js';

const RUNS_SHOWN = 2;

/**
 * Neighbours as `gpu[0] … gpu[3]`, others one by one: `gpu[0], gpu[3]`. Of many runs the first ones, and how many devices
 * there are in all.
 *
 * @param counted devices of a range are counted too: `gpu[0] … gpu[3] (4 devices)`
 */
export function nameDevices(
  devices: readonly Pick<RuntimeDevice, 'id' | 'path'>[],
  { counted = false }: { readonly counted?: boolean } = {},
): string {
  const runs: (typeof devices)[number][][] = [];
  for (const device of devices) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1)!.id + 1 === device.id) run.push(device);
    else runs.push([device]);
  }
  const names = runs.map((run) =>
    run.length === 1 ? run[0]!.path : `${run[0]!.path} … ${run.at(-1)!.path}`,
  );
  const isCut = names.length > RUNS_SHOWN;
  const shown = isCut ? [...names.slice(0, RUNS_SHOWN), '…'] : names;
  const isCounted = isCut || (counted && runs.length < devices.length);
  return `${shown.join(', ')}${isCounted ? ` (${devices.length} devices)` : ''}`;
}
