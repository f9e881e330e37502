/**
 * The slots of all stages on a device. Stages of different residences never compute there at the same time, so their
 * slots lie over each other (`compiler/ir/workspace.ts`).
 */
import type { Program } from '../../compiler/ir/runtime-program.js';
import { overlaidBuffers, overlaidPlaces } from '../../compiler/ir/workspace.js';
import type { Device, DeviceBuffer } from '../device/device.js';

/** A stage on the device. */
export interface WorkspaceStage {
  readonly name: string;
  readonly residence: string;
  readonly slots: Program['slots'];
}

/** Buffer of a slot of a stage. */
export type Workspace = (stage: string, slot: number) => DeviceBuffer;

export function createWorkspace(device: Device, stages: readonly WorkspaceStage[]): Workspace {
  const sets = new Map<string, { readonly key: string; readonly id: number; readonly bytes: number }[]>();
  for (const { name, residence, slots } of stages) {
    const set = sets.get(residence) ?? [];
    for (const { id, bytes } of slots) set.push({ key: `${name} ${id}`, id: set.length, bytes });
    sets.set(residence, set);
  }
  const buffers = overlaidBuffers([...sets.values()]).map((bytes, i) =>
    device.createBuffer(`workspace ${i}`, Math.max(16, bytes)),
  );
  const places = new Map<string, DeviceBuffer>();
  for (const set of sets.values()) {
    const placeOf = overlaidPlaces(set);
    for (const { key, id } of set) places.set(key, buffers[placeOf.get(id)!]!);
  }
  return (stage, slot) => {
    const buffer = places.get(`${stage} ${slot}`);
    if (buffer === undefined) throw new Error(`stage ${stage} has no slot ${slot} on ${device.label}`);
    return buffer;
  };
}
