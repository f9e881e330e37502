/**
 * What each op of a program must wait for.
 *
 * State: for every resource (a slot, the pages of a layer, the exchange between ranks) its last writer and the
 * readers since. A read waits for the last writer; a write waits for the last writer and the readers. Because slots,
 * not values, are the resources, reuse of a buffer is a dependency like any other. A wait that another wait already
 * implies is left out.
 */
import { opAccess, type DraftOp } from '../ir/op-access.js';
import type { ProgramValue } from '../ir/runtime-program.js';

/** Indices of the ops each op waits for, ascending. */
export function dependencies(
  values: readonly Pick<ProgramValue, 'slot'>[],
  ops: readonly DraftOp[],
): readonly (readonly number[])[] {
  const writer = new Map<string, number>();
  const readers = new Map<string, number[]>();
  const ancestors = createAncestors(ops.length);
  return ops.map((op, index) => {
    const waits = new Set<number>();
    const read = (resource: string): void => {
      const last = writer.get(resource);
      if (last !== undefined) waits.add(last);
      readers.set(resource, [...(readers.get(resource) ?? []), index]);
    };
    const write = (resource: string): void => {
      const last = writer.get(resource);
      if (last !== undefined) waits.add(last);
      for (const reader of readers.get(resource) ?? []) if (reader !== index) waits.add(reader);
      writer.set(resource, index);
      readers.set(resource, []);
    };
    const access = opAccess(op);
    const slot = (value: number): string => `slot ${values[value]!.slot}`;
    const layer = 'layer' in op ? String(op.layer) : '';
    access.reads.forEach((value) => read(slot(value)));
    if (access.readsKv) read(`kv ${layer}`);
    access.writes.forEach((value) => write(slot(value)));
    if (access.writesKv) write(`kv ${layer}`);
    if (access.communicates) write('exchange');
    return ancestors.reduce(index, waits);
  });
}

/** Ancestor sets as bit rows, to drop waits that others imply. */
function createAncestors(count: number): {
  readonly reduce: (index: number, waits: ReadonlySet<number>) => readonly number[];
} {
  const words = Math.ceil(count / 32);
  const rows = Array.from({ length: count }, () => new Uint32Array(words));
  return {
    reduce(index, waits) {
      const mine = rows[index]!;
      const kept: number[] = [];
      for (const wait of [...waits].sort((a, b) => b - a)) {
        if ((mine[wait >> 5]! >>> (wait & 31)) & 1) continue;
        kept.push(wait);
        const theirs = rows[wait]!;
        for (let word = 0; word < words; word++) mine[word]! |= theirs[word]!;
        mine[wait >> 5]! |= 1 << (wait & 31);
      }
      return kept.reverse();
    },
  };
}
