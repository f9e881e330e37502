import { describe, it } from 'vitest';
import type { DType } from '../../../compiler/model/shape.js';
import type { DeviceLimits } from '../../../runtime/device/device.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { seededRandom } from '../../fixtures/random.js';
import { activation, expectActivation, garbage, kernelBench, withoutSubgroups } from './harness.js';
import { filledPages, pageAddress } from './pages.js';
import type { PageShape } from './pages.js';

const bench = kernelBench();

interface Case {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly pageTokens: number;
  /** The rank's place among those that share out the query heads of a row, or the kv heads of pages. */
  readonly share?: { readonly of: 'row' | 'pages'; readonly ranks: number; readonly rank: number };
}

/** A share of the query heads of a row; of the kv heads of pages: a part of one, and parts of two. */
const SHARES: readonly Case[] = [
  { heads: 4, kvHeads: 2, headDim: 8, pageTokens: 4, share: { of: 'row', ranks: 3, rank: 2 } },
  { heads: 2, kvHeads: 2, headDim: 6, pageTokens: 5, share: { of: 'pages', ranks: 4, rank: 1 } },
  { heads: 9, kvHeads: 3, headDim: 4, pageTokens: 16, share: { of: 'pages', ranks: 2, rank: 1 } },
];

const CASES: readonly Case[] = [
  { heads: 1, kvHeads: 1, headDim: 2, pageTokens: 4 },
  { heads: 3, kvHeads: 1, headDim: 6, pageTokens: 5 },
  { heads: 4, kvHeads: 2, headDim: 16, pageTokens: 16 },
  { heads: 5, kvHeads: 5, headDim: 10, pageTokens: 7 },
  { heads: 11, kvHeads: 1, headDim: 64, pageTokens: 16 },
  { heads: 8, kvHeads: 4, headDim: 80, pageTokens: 32 },
];

interface Chunk {
  readonly start: number;
  readonly count: number;
}

/** Sequences of a prefill step: whole prompts, a later chunk of one, a single row. */
const PREFILL: readonly Chunk[] = [
  { start: 0, count: 1 },
  { start: 0, count: 37 },
  { start: 21, count: 16 },
  { start: 50, count: 1 },
];
const DECODE: readonly Chunk[] = [0, 1, 6, 15, 16, 63].map((start) => ({ start, count: 1 }));

describe.each<DType>(['f32', 'f16', 'bf16'])('attention over %s pages', (dtype) => {
  // Long heads are slow to compile on a software device; one type shows them.
  for (const one of CASES.filter(({ headDim }) => headDim <= 16 || dtype === 'bf16')) {
    const name = `${one.heads}/${one.kvHeads} heads of ${one.headDim}, pages of ${one.pageTokens}`;
    it(`prefill: ${name}`, () => check(dtype, one, PREFILL, 16, bench.limits()));
    it(`decode: ${name}`, () => check(dtype, one, DECODE, 1, bench.limits()));
    it(`decode without subgroups: ${name}`, () =>
      check(dtype, one, DECODE, 1, withoutSubgroups(bench.limits())));
  }
});

describe('attention with a share of the heads', () => {
  for (const one of SHARES) {
    const name = JSON.stringify(one);
    it(`prefill: ${name}`, () => check('f32', one, PREFILL, 16, bench.limits()));
    it(`decode: ${name}`, () => check('f16', one, DECODE, 1, bench.limits()));
    it(`decode without subgroups: ${name}`, () =>
      check('f32', one, DECODE, 1, withoutSubgroups(bench.limits())));
  }
});

/** Windows within a page, over a few, and longer than some sequences. */
const SCORING: readonly Scoring[] = [
  { window: 1 },
  { window: 6 },
  { window: 23 },
  { window: 40, softcap: 3 },
  { softcap: 3 },
];

describe('attention with windows and soft caps', () => {
  const [, odd, even] = CASES;
  for (const scoring of SCORING) {
    const name = JSON.stringify(scoring);
    const one = scoring.window === 6 ? odd! : even!;
    const both = [
      ['', bench.limits],
      [' without subgroups', () => withoutSubgroups(bench.limits())],
    ] as const;
    for (const [how, limits] of both) {
      it(`prefill${how}: ${name}`, () => check('f16', one, PREFILL, 16, limits(), scoring));
      it(`decode${how}: ${name}`, () => check('f32', one, DECODE, 1, limits(), scoring));
    }
  }

  it('reads no page before the window', async () => {
    // Keys out of sight are NaN: a product with one would show even where its weight is zero.
    const sees = { start: 50, count: 1 };
    const unread = Array.from({ length: 32 }, (_, token) => token);
    for (const tileRows of [1, 16])
      await check('f32', CASES[2]!, [sees], tileRows, bench.limits(), { window: 16 }, unread);
  });
});

describe('attention beside tokens whose keys and values are no numbers', () => {
  const prompt = { start: 0, count: 37 };
  for (const dtype of ['f32', 'f16'] as const)
    for (const one of [CASES[1]!, CASES[2]!, CASES[3]!])
      for (const scoring of [{}, { window: 6 }]) {
        const name = `${dtype}, ${JSON.stringify(one)}, ${JSON.stringify(scoring)}`;
        it(`leaves the rows as they are that do not see them: ${name}`, async () => {
          // Within a tile, at the border of two, and the last of all.
          for (const spoilt of [[9], [15, 16], [36]]) {
            await check(dtype, one, [prompt], 16, bench.limits(), scoring, spoilt);
            await check(dtype, one, [prompt], 16, withoutSubgroups(bench.limits()), scoring, spoilt);
            for (const start of [37, 43])
              await check(dtype, one, [{ start, count: 1 }, ...DECODE], 1, bench.limits(), scoring, spoilt);
          }
        });
      }
});

/** A NaN of both types with 16 bits. */
const NO_NUMBER = 0x7fff;

interface Scoring {
  readonly window?: number;
  readonly softcap?: number;
}

/** `spoilt`: positions of the first sequence that are NaN in the pages; in all are those behind the last token. */
async function check(
  dtype: DType,
  one: Case,
  chunks: readonly Chunk[],
  tileRows: number,
  limits: DeviceLimits,
  scoring: Scoring = {},
  spoilt: readonly number[] = [],
): Promise<void> {
  const { heads, kvHeads, headDim, pageTokens, share } = one;
  const all = heads * (share?.ranks ?? 1);
  const firstHead = heads * (share?.rank ?? 0);
  const [rowHeads, firstOfRow] = share?.of === 'row' ? [all, firstHead] : [heads, 0];
  const [pageHeads, firstOfPages] = share?.of === 'pages' ? [all, firstHead] : [heads, 0];
  const random = seededRandom(heads * 100 + headDim);
  const layer = 1;
  const lengths = chunks.map(({ start, count }) => start + count);
  const pagesOf = lengths.map((length) => Math.ceil(length / pageTokens));
  const pages = pagesOf.reduce((sum, count) => sum + count, 0) + 1;
  const shape: PageShape = { ...one, dtype, pages, groupLayers: 2 };
  const kv = filledPages(shape, () => random.normal());
  const address = pageAddress(shape);

  // Pages in shuffled order; page 0 belongs to nobody.
  const order = Array.from({ length: pages - 1 }, (_, i) => i + 1);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const tableStarts: number[] = [];
  const tiles: number[] = [];
  const rowOf: { readonly chunk: number; readonly position: number }[] = [];
  let tableLength = 0;
  chunks.forEach(({ start, count }, chunk) => {
    for (let first = 0; first < count; first += tileRows) {
      tiles.push(rowOf.length + first, Math.min(tileRows, count - first), start + first, tableLength);
    }
    for (let i = 0; i < count; i++) rowOf.push({ chunk, position: start + i });
    tableStarts.push(tableLength);
    tableLength += pagesOf[chunk]!;
  });
  const rows = rowOf.length;
  const spoil = (chunk: number, token: number): void => {
    const page = order[tableStarts[chunk]! + Math.floor(token / pageTokens)]!;
    for (let head = 0; head < kvHeads; head++) {
      const start = address(page, layer, head, token % pageTokens, 0, 0);
      const end = start + 2 * headDim;
      if (dtype === 'f32') new Float32Array(kv.words.buffer).fill(NaN, start, end);
      else new Uint16Array(kv.words.buffer).fill(NO_NUMBER, start, end);
    }
  };
  for (const token of spoilt) spoil(0, token);
  chunks.forEach((_, chunk) => {
    for (let token = lengths[chunk]!; token < pagesOf[chunk]! * pageTokens; token++) spoil(chunk, token);
  });
  const qkv = activation(rows, (rowHeads + 2 * kvHeads) * headDim, () => random.normal() * 2);
  const scale = 1 / Math.sqrt(headDim);
  const shared = share && { [share.of === 'row' ? 'rowHeads' : 'pageHeads']: all };
  const params = {
    heads,
    kvHeads,
    headDim,
    pageTokens,
    groupLayers: 2,
    scale,
    tileRows,
    ...scoring,
    ...shared,
  };
  const [variant] = kernelVariants({ kernel: 'attention', params, dtype }, limits);
  const bytes = await bench.run(
    variant!,
    [
      Uint32Array.from(tiles),
      Uint32Array.from(order),
      qkv.data,
      kv.words,
      garbage(rows, heads * headDim).data,
    ],
    [tiles.length / 4, layer, ...(share ? [firstHead] : [])],
    4,
  );

  const reference = rowOf.map(({ chunk, position }, r) => {
    const row = new Float64Array(heads * headDim);
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(((firstOfPages + h) * kvHeads) / pageHeads);
      const element = (token: number, side: 0 | 1, dim: number): number => {
        const page = order[tableStarts[chunk]! + Math.floor(token / pageTokens)]!;
        return kv.at(address(page, layer, kvHead, token % pageTokens, side, dim));
      };
      const first = Math.max(0, position + 1 - (scoring.window ?? Infinity));
      if (chunk === 0 && spoilt.some((token) => token >= first && token <= position)) {
        row.fill(NaN);
        continue;
      }
      const scores = Array.from({ length: position + 1 - first }, (_, index) => {
        const token = first + index;
        let dot = 0;
        for (let i = 0; i < headDim; i++)
          dot += qkv.data[r * qkv.stride + (firstOfRow + h) * headDim + i]! * element(token, 0, i);
        const { softcap } = scoring;
        return softcap === undefined ? dot * scale : softcap * Math.tanh((dot * scale) / softcap);
      });
      const max = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - max));
      const total = weights.reduce((sum, w) => sum + w, 0);
      weights.forEach((w, index) => {
        for (let i = 0; i < headDim; i++) row[h * headDim + i]! += (w / total) * element(first + index, 1, i);
      });
    }
    return row;
  });
  expectActivation(bytes, rows, heads * headDim, (r, c) => reference[r]![c]!, 2e-5);
}
