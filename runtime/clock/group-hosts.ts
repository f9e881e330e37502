/** The tier beside each device: looked up once for every group, of which there are fewer than devices. */
import type { Tier, Topology } from '../../compiler/plan/plan.js';

/** Path of the tier of a device, given how the tier of its group is found. */
export function groupHosts(
  { devices }: Topology,
  find: (group: string) => Tier | undefined,
): (device: number) => string | undefined {
  const known = new Map<string, string | undefined>();
  return (device) => {
    const { group } = devices[device]!;
    if (!known.has(group)) known.set(group, find(group)?.path);
    return known.get(group);
  };
}
