/**
 * What each op of a program must wait for.
 *
 * State: for every resource (a slot, the pages of a layer, the exchange between ranks) its last writer and the
 * readers since. A read waits for the last writer; a write waits for the last writer and the readers. Because slots,
 * not values, are the resources, reuse of a buffer is a dependency like any other. A wait that another wait already
 * implies is left out.
 */
import { EXCHANGE, opAccess, pagesOf, type DraftOp } from '../ir/op-access.js';
import type { ProgramValue } from '../ir/runtime-program.js';

/** Indices of the ops each op waits for, ascending. */
export function dependencies(
  values: readonly Pick<ProgramValue, 'slot'>[],
  ops: readonly DraftOp[],
): readonly (readonly number[])[] {
  const resources = new Map<number, Resource>();
  const resourceOf = (id: number): Resource => {
    let resource = resources.get(id);
    if (resource === undefined) resources.set(id, (resource = { writer: undefined, readers: [] }));
    return resource;
  };
  const ancestors = createAncestors();
  /** Of the op at hand; some may be in it twice. */
  const waits: number[] = [];
  const read = (id: number, index: number): void => {
    const { writer, readers } = resourceOf(id);
    if (writer !== undefined) waits.push(writer);
    readers.push(index);
  };
  const write = (id: number, index: number): void => {
    const resource = resourceOf(id);
    if (resource.writer !== undefined && resource.writer !== index) waits.push(resource.writer);
    for (const reader of resource.readers) if (reader !== index) waits.push(reader);
    resource.writer = index;
    resource.readers.length = 0;
  };
  return ops.map((op, index) => {
    waits.length = 0;
    const access = opAccess(op);
    const pages = pagesOf('layer' in op ? op.layer : undefined);
    for (const value of access.reads) read(values[value]!.slot, index);
    if (access.readsKv) read(pages, index);
    for (const value of access.writes) write(values[value]!.slot, index);
    if (access.writesKv) write(pages, index);
    if (access.communicates) write(EXCHANGE, index);
    return ancestors.reduce(waits);
  });
}

interface Resource {
  writer: number | undefined;
  readonly readers: number[];
}

/** Ancestor sets as bit rows, one op after the other, to drop waits that others imply. */
function createAncestors(): { readonly reduce: (waits: number[]) => readonly number[] } {
  const rows: Uint32Array[] = [];
  return {
    reduce(waits) {
      const mine = new Uint32Array((rows.length >> 5) + 1);
      const kept: number[] = [];
      if (waits.length > 1) waits.sort((a, b) => b - a);
      for (const wait of waits) {
        if ((mine[wait >> 5]! >>> (wait & 31)) & 1) continue;
        kept.push(wait);
        const theirs = rows[wait]!;
        for (let word = 0; word < theirs.length; word++) mine[word]! |= theirs[word]!;
        mine[wait >> 5]! |= 1 << (wait & 31);
      }
      rows.push(mine);
      return kept.reverse();
    },
  };
}
