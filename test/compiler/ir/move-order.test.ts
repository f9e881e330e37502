import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orderMoves } from '../../../compiler/ir/move-order.js';
import type { WeightJob } from '../../../compiler/ir/move-order.js';
import { overlaps } from '../../../compiler/ir/weight-arena.js';
import type { Spot } from '../../../compiler/ir/weight-arena.js';

const place = (offset: number, bytes: number): Spot => ({ buffer: 0, offset, bytes });

/** A weight whose copies land anywhere in its place. */
function job<T>(target: Spot, reads: readonly Spot[], what: T): WeightJob<T> {
  return { target, reads, copied: reads.length > 0 ? [target] : [], what };
}

describe('orderMoves', () => {
  it('writes back to front where front to back would destroy a source', () => {
    const first = job(place(0, 10), [place(20, 5)], 'first');
    const second = job(place(20, 10), [place(30, 5)], 'second');
    const third = job(place(5, 10), [place(0, 5)], 'third');
    const order = orderMoves([second, first, third]);
    expect(order.map(({ kind, job }) => `${kind} ${job.what}`)).toEqual([
      'write third',
      'write first',
      'write second',
    ]);
  });

  it('sets one source aside when two weights swap places', () => {
    const a = job(place(10, 10), [place(0, 10)], 'a');
    const b = job(place(0, 10), [place(10, 10)], 'b');
    const order = orderMoves([a, b]);
    expect(order.map(({ kind, job }) => `${kind} ${job.what}`)).toEqual(['stash b', 'write a', 'write b']);
  });

  it('sets aside what a weight would copy onto itself, not what lies beside its copies', () => {
    const onto = job(place(0, 10), [place(5, 5)], 'onto');
    const beside = { ...job(place(20, 10), [place(25, 5)], 'beside'), copied: [place(20, 5)] };
    const order = orderMoves([onto, beside]);
    expect(order.map(({ kind, job: { what } }) => `${kind} ${what}`)).toEqual([
      'stash onto',
      'write onto',
      'write beside',
    ]);
  });

  it('never destroys what a later move reads, and writes every weight once', () => {
    const spot = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 15 }));
    const jobs = fc.array(fc.tuple(spot, fc.array(spot, { maxLength: 3 })), { maxLength: 12 }).map((all) =>
      all.map(([target, reads], i) => {
        const sources = reads.map(([offset, bytes]) => place(offset * 3, bytes));
        return job(place(i * 15, target[1]), sources, i);
      }),
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
          const onItself = job.reads.some((read) => overlaps(read, job.target));
          if (kind === 'write' && onItself) expect(stashed).toContain(job.what);
          if (kind === 'stash') stashed.add(job.what);
          else written.push(job);
        }
      }),
      { numRuns: 500 },
    );
  });
});
