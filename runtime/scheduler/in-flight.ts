import { firstAbove } from '../../compiler/first-above.js';

/** What has been started and is not over, by numbers that grow. */
export interface InFlight<Value> {
  readonly count: () => number;
  /** In the order of their numbers. */
  readonly values: () => readonly Value[];
  /** @param id greater than those before */
  readonly add: (id: number, value: Value) => void;
  readonly get: (id: number) => Value | undefined;
  readonly delete: (id: number) => void;
}

/**
 * Two columns, not a Map: when a Map that is added to and deleted from without end gets a new table, V8 has the old table
 * refer to the new one. One that has outlived young collections is then kept up to the next full one, and with it all later
 * ones and what was in them when they were given up: of the rows of a simulation that was nearly all.
 */
export function createInFlight<Value>(): InFlight<Value> {
  const ids: number[] = [];
  const values: Value[] = [];
  const placeOf = (id: number): number => {
    const place = firstAbove(ids, id) - 1;
    return ids[place] === id ? place : -1;
  };
  return {
    count: () => ids.length,
    values: () => values,
    add(id, value) {
      const last = ids.at(-1) ?? -Infinity;
      if (id <= last) throw new Error(`${id} does not come after ${last}`);
      ids.push(id);
      values.push(value);
    },
    get(id) {
      const place = placeOf(id);
      return place < 0 ? undefined : values[place];
    },
    delete(id) {
      const place = placeOf(id);
      if (place < 0) return;
      ids.splice(place, 1);
      values.splice(place, 1);
    },
  };
}
