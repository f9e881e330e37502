/**
 * Outermost groups of a topology that are alike (the nodes of a pod), so that roads inside one need not be built again for
 * each of the others.
 *
 * Two instances are alike when below their own paths they have the same devices and tiers in the same order, and no link
 * names an instance: then exchanging the two changes nothing of the topology, and a road that stays inside one has its
 * like in the other.
 */
import { numbered } from '../numbered.js';
import { parsePath } from '../plan/places.js';
import type { DeviceKind, Topology } from '../plan/plan.js';

/** An outermost group. */
export interface Instance {
  /** `node[2]`. */
  readonly path: string;
  /** Equal for instances that are alike. */
  readonly likeness: number;
}

/** Answers in which outermost group a device stands; undefined where it stands in none, or links tell instances apart. */
export function instancesOf({ devices, tiers, links }: Topology): (device: number) => Instance | undefined {
  const names = links.flatMap(({ scope, from, to }) => [scope, from, to]);
  if (names.some((path) => parsePath(path).some(({ first }) => first !== undefined))) return () => undefined;
  const kindId = numbered<DeviceKind>();
  const contents = new Map<string, string[]>();
  const add = (path: string, what: string): void => {
    const outer = outermost(path);
    if (outer === undefined) return;
    const known = contents.get(outer) ?? [];
    contents.set(outer, known);
    known.push(`${path.slice(outer.length)} ${what}`);
  };
  for (const { path, kind } of devices) add(path, `${kindId(kind)}`);
  for (const { path, medium, capacity } of tiers) add(path, `${medium} ${capacity}`);
  const likeness = numbered<string>();
  const instances = new Map<string, Instance>();
  for (const [path, inside] of contents)
    instances.set(path, { path, likeness: likeness(`${parsePath(path)[0]!.name}: ${inside.join()}`) });
  return (device) => instances.get(outermost(devices[device]?.path ?? '') ?? '');
}

/** `node[2]` of `node[2].gpu[5]`, undefined of a path of one part. */
function outermost(path: string): string | undefined {
  const end = path.indexOf('.');
  return end < 0 ? undefined : path.slice(0, end);
}
