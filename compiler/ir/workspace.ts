/**
 * Workspace of stages that take turns on a device: their slots lie over each other. The largest slots of all of them
 * share a buffer, then the second largest, and so on; what is needed is the sum of those buffers.
 *
 *     prefill [400, 300, 100], decode [350, 40]  ->  [400, 300, 100]: decode has its slots in the first two
 */

interface Slot {
  readonly id: number;
  readonly bytes: number;
}

/** Sizes of the buffers that hold any one of the sets of slots. */
export function overlaidBuffers(sets: readonly (readonly Slot[])[]): readonly number[] {
  const sorted = sets.map((slots) => slots.map(({ bytes }) => bytes).sort((a, b) => b - a));
  const count = Math.max(0, ...sorted.map((sizes) => sizes.length));
  return Array.from({ length: count }, (_, i) => Math.max(...sorted.map((sizes) => sizes[i] ?? 0)));
}

/** Which of the buffers each slot of a set lies in, by slot id. */
export function overlaidPlaces(slots: readonly Slot[]): ReadonlyMap<number, number> {
  const largestFirst = [...slots].sort((a, b) => b.bytes - a.bytes || a.id - b.id);
  return new Map(largestFirst.map(({ id }, buffer) => [id, buffer]));
}
