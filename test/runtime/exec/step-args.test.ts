import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildStepArgs, stepArgsLayout } from '../../../runtime/exec/step-args.js';
import { ATTENTION_TILE_ROWS } from '../../../runtime/kernels/kernel.js';

const PAGE = 4;
const greedy = () => ({ mode: 0 as const, seed: 7, position: 9, temperature: 0 });

function words(bytes: Uint8Array, offset: number, count: number): number[] {
  return [...new Uint32Array(bytes.buffer, offset, count)];
}

describe('buildStepArgs', () => {
  it('places a decode row behind a prefill chunk', () => {
    const layout = stepArgsLayout(16, 4, 16);
    const args = buildStepArgs(
      layout,
      [
        { sequence: 0, start: 3, count: 2, sample: false, firstPage: 0, pages: [5, 9] },
        { sequence: 1, start: 8, count: 1, sample: true, firstPage: 0, pages: [2, 7, 1] },
      ],
      PAGE,
      (sequence, position) => 100 * sequence + position,
      greedy,
    );
    expect(args).toMatchObject({ rowCount: 3, tileCount: 2, sampleCount: 1, tileRows: ATTENTION_TILE_ROWS });
    expect(words(args.bytes, layout.rows.offset, 12)).toEqual([
      ...[3, 3, 5 * PAGE + 3, 0],
      ...[4, 4, 9 * PAGE + 0, 0],
      ...[108, 8, 1 * PAGE + 0, 2],
    ]);
    expect(words(args.bytes, layout.table.offset, 5)).toEqual([5, 9, 2, 7, 1]);
    expect(words(args.bytes, layout.tiles.offset, 8)).toEqual([0, 2, 3, 0, 2, 1, 8, 2]);
    expect(words(args.bytes, layout.samples.offset, 4)).toEqual([2, 0, 7, 9]);
  });

  it('copies a page to the one that its row goes on in', () => {
    const layout = stepArgsLayout(16, 4, 16);
    const items = [
      { sequence: 0, start: 6, count: 4, sample: true, firstPage: 0, pages: [5, 9, 3], copyOf: 2 },
      { sequence: 1, start: 4, count: 1, sample: true, firstPage: 0, pages: [5, 8] },
    ];
    expect(buildStepArgs(layout, items, PAGE, () => 1, greedy).copies).toEqual([{ from: 2, to: 9 }]);
  });

  it('writes no more of the page table than the step uses', () => {
    const longContext = 131_072 / PAGE;
    const layout = stepArgsLayout(4, 4, 4 * longContext);
    const items = [{ sequence: 0, start: 2, count: 1, sample: true, firstPage: 0, pages: [3] }];
    const { bytes } = buildStepArgs(layout, items, PAGE, () => 1, greedy);
    expect(layout.bytes).toBeGreaterThan(500_000);
    expect(bytes.byteLength).toBeLessThan(2_000);
    expect(words(bytes, layout.table.offset, 1)).toEqual([3]);
  });

  it('uses one-row tiles when every sequence decodes', () => {
    const layout = stepArgsLayout(4, 4, 8);
    const items = [0, 1].map((sequence) => ({
      sequence,
      start: 2,
      count: 1,
      sample: true,
      firstPage: 0,
      pages: [sequence],
    }));
    const args = buildStepArgs(layout, items, PAGE, () => 1, greedy);
    expect(args).toMatchObject({ rowCount: 2, tileCount: 2, tileRows: 1, sampleCount: 2 });
  });

  it('leaves out the first pages of which no row sees anything', () => {
    const items = [
      { sequence: 0, start: 1, count: 1, sample: true, firstPage: 0, pages: [6] },
      { sequence: 1, start: 13, count: 4, sample: true, firstPage: 2, pages: [5, 9, 3], copyOf: 8 },
    ];
    const layout = stepArgsLayout(8, 2, 8);
    const args = buildStepArgs(layout, items, PAGE, () => 1, greedy);
    expect(words(args.bytes, layout.table.offset, 4)).toEqual([6, 5, 9, 3]);
    // Page 2 of the sequence is entry 1 of the table.
    const tile = words(args.bytes, layout.tiles.offset, 8).slice(4);
    expect([...tile.slice(0, 3), (tile[3]! + 2) % 2 ** 32]).toEqual([1, 4, 13, 1]);
    expect(words(args.bytes, layout.rows.offset, 8)[6]).toBe(9 * PAGE + 1);
    expect(args.copies).toEqual([{ from: 8, to: 9 }]);
  });

  it('covers every row by exactly one tile of consecutive positions of one sequence', () => {
    const item = fc.record({ start: fc.nat(40), count: fc.integer({ min: 1, max: 50 }) });
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 5 }), (parts) => {
        const items = parts.map((part, sequence) => ({
          ...part,
          sequence,
          sample: true,
          firstPage: 0,
          pages: Array.from({ length: 30 }, (_, page) => sequence * 30 + page),
        }));
        const layout = stepArgsLayout(256, 5, 200);
        const args = buildStepArgs(layout, items, PAGE, () => 1, greedy);
        const rows = words(args.bytes, layout.rows.offset, args.rowCount * 4);
        const tiles = words(args.bytes, layout.tiles.offset, args.tileCount * 4);
        const table = words(
          args.bytes,
          layout.table.offset,
          (args.bytes.byteLength - layout.table.offset) / 4,
        );
        let next = 0;
        for (let tile = 0; tile < args.tileCount; tile++) {
          const [first, count, position, tableStart] = tiles.slice(tile * 4) as [
            number,
            number,
            number,
            number,
          ];
          expect(first).toBe(next);
          expect(count).toBeLessThanOrEqual(args.tileRows);
          for (let i = 0; i < count; i++, next++) {
            const [, at, slot, start] = rows.slice(next * 4) as [number, number, number, number];
            expect(at).toBe(position + i);
            expect(start).toBe(tableStart);
            expect(slot).toBe(table[start + Math.floor(at / PAGE)]! * PAGE + (at % PAGE));
          }
        }
        expect(next).toBe(args.rowCount);
      }),
    );
  });
});
