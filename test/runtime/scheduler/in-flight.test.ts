import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createInFlight } from '../../../runtime/scheduler/in-flight.js';

test('what is in flight is found by its number, like in a map', () => {
  const change = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), by: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('delete' as const), id: fc.nat(60) }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const found = createInFlight<string>();
      const map = new Map<number, string>();
      let last = -1;
      for (const each of changes) {
        if (each.kind === 'add') {
          last += each.by;
          found.add(last, `action ${last}`);
          map.set(last, `action ${last}`);
        } else {
          found.delete(each.id);
          map.delete(each.id);
        }
        expect(found.count()).toBe(map.size);
        expect(found.values()).toEqual([...map.values()]);
        for (let id = 0; id <= last + 1; id++) expect(found.get(id)).toBe(map.get(id));
      }
    }),
  );
});

test('numbers grow', () => {
  const found = createInFlight<string>();
  found.add(3, 'a');
  expect(() => found.add(3, 'b')).toThrow('3 does not come after 3');
});
