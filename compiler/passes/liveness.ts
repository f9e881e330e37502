/**
 * Buffer assignment by liveness.
 *
 * State: slots, each free or taken by one value. Invariant: two values that are alive at the same op never share a
 * slot. Step, per op in order: values whose last access is behind free their slots; every value that the op writes
 * first takes the smallest free slot that is large enough, else the largest free one, grown, else a new one. An op's
 * inputs are still alive while its outputs are placed, so no kernel reads and writes one slot through two values.
 *
 * Example: `a = f(); b = g(a); c = h(b)` needs two slots: a and c share one.
 */
import { opAccess, type DraftOp } from '../ir/op-access.js';
import { activationStride } from '../ir/device-layout.js';
import type { ProgramValue } from '../ir/runtime-program.js';
import type { DraftValue } from './program-builder.js';

export interface Lifetime {
  readonly value: number;
  /** Index of the op that first touches the value, and of the one that last does. */
  readonly first: number;
  readonly last: number;
}

export interface SlotAssignment {
  readonly slots: readonly { readonly id: number; readonly bytes: number }[];
  readonly values: readonly ProgramValue[];
}

/** Lifetimes by value id. Throws when a value is read before it is written, or never touched. */
export function lifetimes(values: readonly DraftValue[], ops: readonly DraftOp[]): readonly Lifetime[] {
  const found: ({ value: number; first: number; last: number } | undefined)[] = [];
  ops.forEach((op, index) => {
    const { reads, writes } = opAccess(op);
    for (const value of reads) {
      const life = found[value];
      if (!life) throw new Error(`op ${index} reads value ${value} before it is written`);
      life.last = index;
    }
    for (const value of writes) {
      const life = found[value];
      if (life) life.last = index;
      else found[value] = { value, first: index, last: index };
    }
  });
  return values.map((value) => {
    const life = found[value.id];
    if (!life) throw new Error(`value ${value.name} is never used`);
    return life;
  });
}

/** Device bytes of a value when a step carries the most rows it may. */
export function valueBytes(value: Pick<DraftValue, 'rows' | 'cols'>, maxRows: MaxRows): number {
  return maxRows[value.rows] * activationStride(value.cols) * 4;
}

export interface MaxRows {
  readonly tokens: number;
  readonly samples: number;
}

/**
 * Assigns every value a slot.
 *
 * @param lives of these values and ops, where they are known
 */
export function assignSlots(
  values: readonly DraftValue[],
  ops: readonly DraftOp[],
  maxRows: MaxRows,
  lives: readonly Lifetime[] = lifetimes(values, ops),
): SlotAssignment {
  const { slots, slotOf } = dealSlots(values, lives, maxRows);
  return { slots, values: values.map((value) => ({ ...value, slot: slotOf.get(value.id)! })) };
}

/** The slots that values with these lifetimes need, and which is whose. */
export function dealSlots(
  values: readonly DraftValue[],
  lives: readonly Lifetime[],
  maxRows: MaxRows,
): { readonly slots: SlotAssignment['slots']; readonly slotOf: ReadonlyMap<number, number> } {
  const byStart = [...lives].sort((a, b) => a.first - b.first || a.value - b.value);
  const slots: Slot[] = [];
  const slotOf = new Map<number, number>();
  for (const life of byStart) {
    const bytes = valueBytes(values[life.value]!, maxRows);
    let slot = freeSlot(slots, life.first, bytes);
    if (!slot) {
      slot = { id: slots.length, bytes: 0, freeAfter: -1 };
      slots.push(slot);
    }
    slot.bytes = Math.max(slot.bytes, bytes);
    slot.freeAfter = life.last;
    slotOf.set(life.value, slot.id);
  }
  return { slots: slots.map(({ id, bytes }) => ({ id, bytes })), slotOf };
}

interface Slot {
  readonly id: number;
  bytes: number;
  freeAfter: number;
}

/** Of the slots that are free by then the smallest that is large enough, else the largest. */
function freeSlot(slots: readonly Slot[], first: number, bytes: number): Slot | undefined {
  let enough: Slot | undefined;
  let largest: Slot | undefined;
  for (const slot of slots) {
    if (slot.freeAfter >= first) continue;
    if (slot.bytes >= bytes && (enough === undefined || slot.bytes < enough.bytes)) enough = slot;
    if (largest === undefined || slot.bytes >= largest.bytes) largest = slot;
  }
  return enough ?? largest;
}
