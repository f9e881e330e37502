import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orderMoves, overlaps } from '../../../runtime/exec/move-order.js';
import type { WeightJob } from '../../../runtime/exec/move-order.js';

const buffer = { label: 'arena', bytes: 1000 };
const place = (offset: number, bytes: number) => ({ buffer, offset, bytes });

describe('orderMoves', () => {
  it('writes back to front where front to back would destroy a source', () => {
    const first = { target: place(0, 10), reads: [place(20, 5)], what: 'first' };
    const second = { target: place(20, 10), reads: [place(30, 5)], what: 'second' };
    const third = { target: place(5, 10), reads: [place(0, 5)], what: 'third' };
    const order = orderMoves([second, first, third]);
    expect(order.map(({ kind, job }) => `${kind} ${job.what}`)).toEqual([
      'write third',
      'write first',
      'write second',
    ]);
  });

  it('sets one source aside when two weights swap places', () => {
    const a = { target: place(10, 10), reads: [place(0, 10)], what: 'a' };
    const b = { target: place(0, 10), reads: [place(10, 10)], what: 'b' };
    const order = orderMoves([a, b]);
    expect(order.map(({ kind, job }) => `${kind} ${job.what}`)).toEqual(['stash b', 'write a', 'write b']);
  });

  it('never destroys what a later move reads, and writes every weight once', () => {
    const spot = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 15 }));
    const jobs = fc.array(fc.tuple(spot, fc.array(spot, { maxLength: 3 })), { maxLength: 12 }).map((all) =>
      all.map(([target, reads], i): WeightJob<number> => ({
        target: place(i * 15, target[1]),
        reads: reads.map(([offset, bytes]) => place(offset * 3, bytes)),
        what: i,
      })),
    );
    fc.assert(
      fc.property(jobs, (all) => {
        const order = orderMoves(all);
        expect(
          order
            .filter(({ kind }) => kind === 'write')
            .map(({ job }) => job.what)
            .sort((a, b) => a - b),
        ).toEqual(all.map(({ what }) => what));
        const written: WeightJob<number>[] = [];
        const stashed = new Set<number>();
        for (const { kind, job } of order) {
          const needsSources = kind === 'stash' || !stashed.has(job.what);
          const spoilt = written.some(({ target }) => job.reads.some((read) => overlaps(read, target)));
          if (needsSources) expect(spoilt).toBe(false);
          if (kind === 'stash') stashed.add(job.what);
          else written.push(job);
        }
      }),
      { numRuns: 500 },
    );
  });
});
