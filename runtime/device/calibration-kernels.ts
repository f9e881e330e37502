/**
 * Kernels of the library as calibrations run them: with operands as in a step, so that what is measured is what the
 * cost model knows the work of. Products lie apart, since they are measured by shape.
 */
import {
  kernelWork,
  tiledRows,
  type ReachingKernel,
  type StepSize,
  type Work,
} from '../../compiler/cost/kernel-work.js';
import { activationStride } from '../../compiler/ir/device-layout.js';
import type { KernelName } from '../../compiler/ir/runtime-program.js';
import { ATTENTION_TILE_ROWS, SAMPLE_WORDS, type KernelRequest } from '../kernels/kernel.js';

/** A kernel with its operands, to be run over so many rows or tiles. */
export interface KernelRun {
  readonly request: KernelRequest;
  /** Rows, or tiles of attention. */
  readonly rows: number;
  readonly immediates: readonly number[];
  /** Bytes of every operand. */
  readonly operands: readonly number[];
  /** First words of operands that are not all zero. */
  readonly contents?: Readonly<Record<number, Uint32Array>>;
  /** What the cost model counts for one run. */
  readonly work: Work;
}

/** The layer that kernels are those of: heads, their size, the residual stream and the inner size of the MLP. */
export interface CalibrationLayer {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly hidden: number;
  readonly ffn: number;
}

const WORD = 4;
const PAGE_TOKENS = 16;
const bytesOf = (rows: number, cols: number): number => rows * activationStride(cols) * WORD;

export function matmulRun(rows: number, n: number, k: number): KernelRun {
  const request = { kernel: 'matmul', params: { n, k, bias: 0 }, dtype: 'f32' } as const;
  return {
    request,
    rows,
    immediates: [rows],
    operands: [bytesOf(rows, k), bytesOf(n, k), bytesOf(rows, n)],
    work: workOf(request, rows),
  };
}

/** A kernel over so many rows of a layer; attention over one prompt of as many tokens. */
export function kernelRun(kernel: ReachingKernel, rows: number, layer: CalibrationLayer): KernelRun {
  const { heads, kvHeads, headDim, hidden, ffn } = layer;
  const plain = (params: Readonly<Record<string, number>>, operands: readonly number[]): KernelRun => {
    const request = { kernel: kernel as KernelName, params };
    return { request, rows, immediates: [rows], operands, work: workOf(request, rows) };
  };
  const [own, wide] = [bytesOf(rows, hidden), bytesOf(rows, 2 * ffn)];
  const weight = bytesOf(1, hidden);
  const norm = { cols: hidden, eps: 1e-5 };
  switch (kernel) {
    case 'embed':
      return {
        ...plain({ hidden, vocabRows: rows, split: 0 }, [rows * 16, own, own]),
        immediates: [rows, 0],
        contents: { 0: rowWords(rows) },
      };
    case 'rms_norm':
      return plain(norm, [own, weight, own]);
    case 'add_rms_norm':
      return plain(norm, [own, own, weight, own]);
    case 'add':
      return plain({ cols: hidden }, [own, own]);
    case 'silu_mul':
    case 'gelu_mul':
      return plain({ cols: ffn }, [wide, bytesOf(rows, ffn)]);
    case 'soft_cap':
      return plain({ cols: hidden, cap: 30 }, [own]);
    case 'gather_rows':
      return { ...plain({ cols: hidden }, [rows * 32, own, own]), contents: { 0: sampleWords(rows) } };
    case 'rope_append': {
      const params = { heads, kvHeads, headDim, pageTokens: PAGE_TOKENS, groupLayers: 1 };
      return {
        ...plain(params, [
          rows * 16,
          (headDim / 2) * WORD,
          bytesOf(rows, (heads + 2 * kvHeads) * headDim),
          pageBytes(rows, layer),
        ]),
        immediates: [rows, 0],
        contents: { 0: rowWords(rows) },
      };
    }
    case 'attention':
    case 'decode_attention':
      return attentionRun(kernel, rows, layer);
    case 'sample': {
      const params = { cols: ffn, stride: activationStride(ffn), vocab: ffn };
      return {
        request: { kernel, params },
        rows,
        immediates: [rows, 0],
        operands: [rows * 32, bytesOf(rows, ffn), rows * SAMPLE_WORDS * WORD],
        contents: { 0: sampleWords(rows) },
        work: { flops: 0, bytes: rows * ffn * WORD },
      };
    }
  }
}

/** Sequences whose last row attention of single rows is about. */
const DECODING = 16;

/** One prompt from its first token; of single rows the next tokens of some sequences of as many. */
function attentionRun(
  kernel: 'attention' | 'decode_attention',
  tokens: number,
  layer: CalibrationLayer,
): KernelRun {
  const { heads, kvHeads, headDim } = layer;
  const decoding = kernel === 'decode_attention';
  const pages = Math.ceil(tokens / PAGE_TOKENS);
  const tiles = decoding
    ? Array.from({ length: DECODING }, (_, row) => [row, 1, tokens - 1, row * pages])
    : Array.from({ length: Math.ceil(tokens / ATTENTION_TILE_ROWS) }, (_, tile) => {
        const first = tile * ATTENTION_TILE_ROWS;
        return [first, Math.min(ATTENTION_TILE_ROWS, tokens - first), first, 0];
      });
  const [rows, sequences] = decoding ? [DECODING, DECODING] : [tokens, 1];
  const table = Uint32Array.from({ length: sequences * pages }, (_, page) => page);
  const params = {
    heads,
    kvHeads,
    headDim,
    pageTokens: PAGE_TOKENS,
    groupLayers: 1,
    scale: 1 / Math.sqrt(headDim),
    tileRows: decoding ? 1 : ATTENTION_TILE_ROWS,
  };
  const request = { kernel: 'attention', params, dtype: 'f32' } as const;
  const size = decoding
    ? { pairs: DECODING * tokens }
    : { pairs: 0, inTiles: { [ATTENTION_TILE_ROWS]: tiledRows(0, tokens, ATTENTION_TILE_ROWS) } };
  return {
    request,
    rows: tiles.length,
    immediates: [tiles.length, 0],
    operands: [
      tiles.length * 16,
      table.byteLength,
      bytesOf(rows, (heads + 2 * kvHeads) * headDim),
      sequences * pageBytes(tokens, layer),
      bytesOf(rows, heads * headDim),
    ],
    contents: { 0: Uint32Array.from(tiles.flat()), 1: table },
    work: workOf(request, rows, { ...size, keys: sequences * tokens }),
  };
}

function workOf(
  { kernel, params, dtype }: KernelRequest,
  tokens: number,
  size: Pick<StepSize, 'pairs' | 'keys' | 'inTiles'> = { pairs: 0, keys: 0 },
): Work {
  const op = { kernel: kernel as KernelName, rows: 'tokens', params, ...(dtype && { dtype }) } as const;
  return kernelWork(op, { tokens, samples: tokens, ...size }, ATTENTION_TILE_ROWS);
}

/** KV of so many tokens in one layer. */
function pageBytes(tokens: number, { kvHeads, headDim }: CalibrationLayer): number {
  return Math.ceil(tokens / PAGE_TOKENS) * PAGE_TOKENS * kvHeads * headDim * 2 * WORD;
}

/** Rows of one sequence from its first token: `step.rows` of the step arguments. */
function rowWords(rows: number): Uint32Array {
  return Uint32Array.from({ length: rows * 4 }, (_, i) => (i % 4 === 3 ? 0 : Math.floor(i / 4)));
}

/** Every row is sampled: `step.samples` of the step arguments. */
function sampleWords(rows: number): Uint32Array {
  return Uint32Array.from({ length: rows * 8 }, (_, i) => (i % 8 === 0 ? i / 8 : 0));
}
