/**
 * Step arguments: everything a step's kernels need to know about its rows, in one buffer per rank written once per
 * step. See `runtime/kernels/kernel.ts` for the layout of the regions.
 */
import { roundUp } from '../../compiler/ir/device-layout.js';
import { ATTENTION_TILE_ROWS } from '../kernels/kernel.js';
import type { AdjustmentTurn } from '../sampling/step-adjustments.js';
import type { StepItem } from '../scheduler/types.js';

const REGION_ALIGNMENT = 256;

export interface StepArgsLayout {
  readonly rows: Region;
  readonly table: Region;
  readonly tiles: Region;
  readonly samples: Region;
  readonly bytes: number;
}

export interface Region {
  readonly offset: number;
  readonly bytes: number;
}

/** Regions for a stage whose steps carry at most this many rows, sequences and page table entries. */
export function stepArgsLayout(
  maxTokens: number,
  maxSequences: number,
  maxTableEntries: number,
): StepArgsLayout {
  let offset = 0;
  const region = (bytes: number): Region => {
    const placed = { offset, bytes: roundUp(Math.max(bytes, 16), 16) };
    offset = roundUp(offset + placed.bytes, REGION_ALIGNMENT);
    return placed;
  };
  const rows = region(maxTokens * 16);
  const tiles = region(maxTokens * 16);
  const samples = region(maxSequences * 32);
  // Last, because it is by far the largest where contexts are long, and most of it goes unused.
  const table = region(maxTableEntries * 4);
  return { rows, table, tiles, samples, bytes: offset };
}

/** How the token of a sampled row is chosen, as the `sample` kernel wants it. */
export interface SampleRow {
  readonly mode: 0 | 1 | 2 | 3;
  readonly seed: number;
  /** Position the sampled token will take; with the seed it fixes the draw. */
  readonly position: number;
  readonly temperature: number;
}

export interface PageCopy {
  readonly from: number;
  readonly to: number;
}

export interface StepArgs {
  /** The start of the arguments, up to the last page table entry in use. */
  readonly bytes: Uint8Array;
  readonly rowCount: number;
  readonly tileCount: number;
  readonly sampleCount: number;
  /** Rows per attention tile of this step: 1 when every sequence has one row. */
  readonly tileRows: number;
  /** Pages to copy before the rows are computed. */
  readonly copies: readonly PageCopy[];
  /** What requests change about their logits; absent where none does. */
  readonly adjustments?: {
    readonly turns: readonly AdjustmentTurn[];
    /** Report on the unchanged logits too: a request wants log-probabilities. */
    readonly wantsPlain: boolean;
  };
}

/**
 * Fills the arguments of a step.
 *
 * @param tokenAt token id of a sequence at a position
 * @param sampleRow sampling of a sequence whose item asks for a token
 */
export function buildStepArgs(
  layout: StepArgsLayout,
  items: readonly StepItem[],
  pageTokens: number,
  tokenAt: (sequence: number, position: number) => number,
  sampleRow: (sequence: number) => SampleRow,
): StepArgs {
  const pagesOf = ({ start, count, firstPage }: StepItem): number =>
    Math.ceil((start + count) / pageTokens) - firstPage;
  const entries = items.reduce((sum, item) => sum + pagesOf(item), 0);
  const bytes = new Uint8Array(layout.table.offset + entries * 4);
  const words = new Uint32Array(bytes.buffer);
  const floats = new Float32Array(bytes.buffer);
  const rowsAt = layout.rows.offset / 4;
  const tableAt = layout.table.offset / 4;
  const tilesAt = layout.tiles.offset / 4;
  const samplesAt = layout.samples.offset / 4;
  const tileRows = items.every((item) => item.count === 1) ? 1 : ATTENTION_TILE_ROWS;
  let row = 0;
  let entry = 0;
  let tile = 0;
  let sample = 0;
  for (const item of items) {
    // What its rows walk from is their first page at the earliest: kernels add to this modulo 2^32, as it is stored.
    const tableStart = entry - item.firstPage;
    for (let page = 0; page < pagesOf(item); page++) words[tableAt + entry++] = item.pages[page]!;
    for (let first = 0; first < item.count; first += tileRows) {
      const at = tilesAt + tile++ * 4;
      words[at] = row + first;
      words[at + 1] = Math.min(tileRows, item.count - first);
      words[at + 2] = item.start + first;
      words[at + 3] = tableStart;
    }
    for (let i = 0; i < item.count; i++, row++) {
      const position = item.start + i;
      const page = item.pages[Math.floor(position / pageTokens) - item.firstPage]!;
      const at = rowsAt + row * 4;
      words[at] = tokenAt(item.sequence, position);
      words[at + 1] = position;
      words[at + 2] = page * pageTokens + (position % pageTokens);
      words[at + 3] = tableStart;
    }
    if (item.sample) {
      const { mode, seed, position, temperature } = sampleRow(item.sequence);
      const at = samplesAt + sample++ * 8;
      words[at] = row - 1;
      words[at + 1] = mode;
      words[at + 2] = seed;
      words[at + 3] = position;
      floats[at + 4] = temperature > 0 ? 1 / temperature : 1;
    }
  }
  const copies = items.flatMap(({ copyOf, start, pages, firstPage }) =>
    copyOf === undefined ? [] : [{ from: copyOf, to: pages[Math.floor(start / pageTokens) - firstPage]! }],
  );
  return { bytes, rowCount: row, tileCount: tile, sampleCount: sample, tileRows, copies };
}
