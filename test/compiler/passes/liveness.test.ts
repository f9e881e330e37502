import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { opAccess, type DraftOp } from '../../../compiler/ir/op-access.js';
import { dependencies } from '../../../compiler/passes/dependencies.js';
import { assignSlots, lifetimes, valueBytes } from '../../../compiler/passes/liveness.js';
import type { DraftValue } from '../../../compiler/passes/program-builder.js';
import { originAt } from '../support/make-plan.js';

const origin = originAt();
const ROWS = { tokens: 3, samples: 2 };

const norm = (from: number, to: number): DraftOp => ({
  op: 'kernel',
  kernel: 'rms_norm',
  rows: 'tokens',
  params: {},
  operands: [{ value: from }, { weight: 'w' }, { value: to }],
  origin,
});
const add = (x: number, delta: number): DraftOp => ({
  op: 'kernel',
  kernel: 'add',
  rows: 'tokens',
  params: {},
  operands: [{ value: x }, { value: delta }],
  origin,
});
const recv = (value: number): DraftOp => ({ op: 'recv', fromPp: 0, value, origin });
const send = (value: number): DraftOp => ({ op: 'send', toPp: 1, value, origin });
const value = (id: number, cols = 4): DraftValue => ({ id, name: `v${id}`, rows: 'tokens', cols });

/** Straight-line programs: every op reads values that exist and defines a new one, or updates one in place. */
const arbitraryProgram = fc
  .array(fc.tuple(fc.nat(), fc.nat(), fc.boolean(), fc.integer({ min: 1, max: 9 })), {
    minLength: 1,
    maxLength: 25,
  })
  .map((steps) => {
    const values = [value(0)];
    const ops: DraftOp[] = [recv(0)];
    for (const [a, b, inPlace, cols] of steps) {
      const [from, other] = [a % values.length, b % values.length];
      if (inPlace && from !== other) {
        ops.push(add(from, other));
      } else {
        values.push(value(values.length, cols));
        ops.push(norm(from, values.length - 1));
      }
    }
    ops.push(send(values.length - 1));
    return { values, ops };
  });

describe('slots', () => {
  it('share between values that do not live together: a chain needs two', () => {
    const values = [value(0), value(1), value(2), value(3)];
    const { slots, values: placed } = assignSlots(
      values,
      [recv(0), norm(0, 1), norm(1, 2), norm(2, 3), send(3)],
      ROWS,
    );
    expect(slots).toHaveLength(2);
    expect(placed.map((entry) => entry.slot)).toEqual([0, 1, 0, 1]);
  });

  it('are as large as the largest value they ever hold, pad columns included', () => {
    const values = [value(0, 5), value(1, 1), value(2, 9)];
    const { slots } = assignSlots(values, [recv(0), norm(0, 1), norm(1, 2), send(2)], ROWS);
    expect(slots.map((slot) => slot.bytes)).toEqual([3 * 12 * 4, 3 * 4 * 4]);
    expect(valueBytes({ rows: 'samples', cols: 6 }, ROWS)).toBe(2 * 8 * 4);
  });

  it('never hold two living values, in any program', () => {
    fc.assert(
      fc.property(arbitraryProgram, ({ values, ops }) => {
        const lives = lifetimes(values, ops);
        const { slots, values: placed } = assignSlots(values, ops, ROWS);
        for (const a of lives) {
          expect(slots[placed[a.value]!.slot]!.bytes).toBeGreaterThanOrEqual(
            valueBytes(values[a.value]!, ROWS),
          );
          for (const b of lives) {
            const together = a.first <= b.last && b.first <= a.last;
            if (a !== b && together) expect(placed[a.value]!.slot).not.toBe(placed[b.value]!.slot);
          }
        }
      }),
    );
  });

  it('never number more than values live at once when all are of one size', () => {
    fc.assert(
      fc.property(arbitraryProgram, ({ values, ops }) => {
        const equal = values.map((entry) => ({ ...entry, cols: 4 }));
        const lives = lifetimes(equal, ops);
        const most = Math.max(
          ...ops.map((_, at) => lives.filter((life) => life.first <= at && at <= life.last).length),
        );
        expect(assignSlots(equal, ops, ROWS).slots.length).toBeLessThanOrEqual(most);
      }),
    );
  });

  it('refuse a value that is read before it is written', () => {
    expect(() => lifetimes([value(0), value(1)], [norm(0, 1)])).toThrow(/before it is written/);
  });
});

describe('waits', () => {
  it('order every pair of ops that touch one slot, and no wait is implied by the others', () => {
    fc.assert(
      fc.property(arbitraryProgram, ({ values, ops }) => {
        const { values: placed } = assignSlots(values, ops, ROWS);
        const after = dependencies(placed, ops);
        const reach = ops.map(() => new Set<number>());
        after.forEach((waits, op) => {
          for (const wait of waits) for (const earlier of [wait, ...reach[wait]!]) reach[op]!.add(earlier);
        });
        const slotsOf = (list: readonly number[]): Set<number> => new Set(list.map((id) => placed[id]!.slot));
        ops.forEach((op, later) => {
          const mine = opAccess(op);
          ops.slice(0, later).forEach((other, earlier) => {
            const theirs = opAccess(other);
            const conflict =
              [...slotsOf(mine.writes)].some((slot) =>
                slotsOf([...theirs.reads, ...theirs.writes]).has(slot),
              ) || [...slotsOf(mine.reads)].some((slot) => slotsOf(theirs.writes).has(slot));
            if (conflict) expect(reach[later]!.has(earlier)).toBe(true);
          });
          const waits = after[later]!;
          for (const wait of waits) {
            expect(waits.some((other) => other !== wait && reach[other]!.has(wait))).toBe(false);
          }
        });
      }),
    );
  });
});
