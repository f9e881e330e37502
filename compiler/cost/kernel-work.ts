/**
 * What every kernel of the runtime graph computes and moves: FLOPs and bytes of device memory, per row and step.
 *
 * Sources: a matrix product is 2 n k FLOPs a row and reads its weights once (Williams et al., Roofline, CACM 2009);
 * attention is 4 head_dim FLOPs for every pair of a query and a key it sees, for scores and for the weighted sum, and
 * reads the keys and values of each sequence once a step, as tiled kernels do (Dao, FlashAttention-2, 2023). Where a
 * kernel takes rows of a sequence together, tiles are computed whole, every row with the keys up to the tile's last. The
 * appendix of Seesaw (arXiv 2503.06433) has one factor of head_dim too many in its attention FLOPs.
 */
import { bytesPerElement } from '../model/weight-types.js';
import type { KernelName, KernelOp } from '../ir/runtime-program.js';

/** The sizes of one step that its costs depend on. */
export interface StepSize {
  /** Rows that are computed: prompt tokens, and one row for each sequence that decodes. */
  readonly tokens: number;
  /** Rows that a token is sampled from. */
  readonly samples: number;
  /** Pairs of a query and a key that attention computes: for every row its position plus one. */
  readonly pairs: number;
  /** Keys that attention reads: for every sequence the position of its last row plus one. */
  readonly keys: number;
  /** No sequence has more than one row: attention runs as its decode variant, without tiles. */
  readonly singleRows?: boolean;
  /** Tokens of KV pages that are copied on the device before the rows are computed. */
  readonly copied?: number;
  /** What attention computes in tiles, by the rows of a tile; absent where every device computes single rows. */
  readonly inTiles?: Readonly<Record<number, TiledRows>>;
  /** The same in layers with a sliding window; absent where the window makes no difference in this step. */
  readonly inWindow?: Pick<StepSize, 'pairs' | 'keys' | 'inTiles'>;
}

/** Rows and pairs of whole tiles: rows that only pad a tile count as well. */
export interface TiledRows {
  readonly rows: number;
  /** Pairs of a query and a key: every row of a tile with the keys up to the tile's last row. */
  readonly pairs: number;
}

/**
 * The tiles of `count` rows of a sequence from position `start`.
 *
 * @param window positions that a row sees, its own included
 */
export function tiledRows(start: number, count: number, tileRows: number, window = Infinity): TiledRows {
  // Between the first keys of the first row of a tile and of its last lie as many as it has rows less one.
  const most = window + tileRows - 1;
  const full = Math.floor(count / tileRows);
  const cut = count - full * tileRows;
  const below = Math.min(full, Math.max(0, Math.floor((most - start) / tileRows)));
  // Keys up to the last row of every full tile are an arithmetic series, until the window holds less.
  const series = below * start + (tileRows * below * (below + 1)) / 2;
  const beyond = full > below ? (full - below) * most : 0;
  const keys = series + beyond + (cut > 0 ? Math.min(start + count, window + cut - 1) : 0);
  return { rows: (full + (cut > 0 ? 1 : 0)) * tileRows, pairs: tileRows * keys };
}

/** Pairs of a query and a key of `count` rows of a sequence from position `start`, which see all before them. */
export function pairsOf(start: number, count: number): number {
  return count * start + (count * (count + 1)) / 2;
}

/** Pairs of rows that see no further back than a window, and keys that the rows read together, each once. */
export function seenBy(
  start: number,
  count: number,
  window = Infinity,
): { readonly pairs: number; readonly keys: number } {
  // Rows that see all before them.
  const all = Math.min(count, Math.max(0, window - start));
  const beyond = count > all ? (count - all) * window : 0;
  return {
    pairs: pairsOf(start, all) + beyond,
    keys: Math.min(start + count, window + count - 1),
  };
}

/** What an op does in a step. */
export interface Work {
  /** Floating-point operations. */
  readonly flops: number;
  /** Bytes of device memory read and written. */
  readonly bytes: number;
}

/** Categories of kernel time. */
export type WorkKind = 'gemm' | 'attention' | 'elementwise';

/** Element bytes of activations in device memory, as Fulcrum's kernels have them. */
const ACTIVATION_BYTES = 4;

interface Facts {
  readonly rows: number;
  readonly params: Readonly<Record<string, number>>;
  /** Bytes of an element of the weight operand, or of the pages. */
  readonly element: number;
  /** Bytes of an element of activations. */
  readonly activation: number;
  readonly step: StepSize;
  /** Rows of a sequence that attention computes together. */
  readonly attentionRows: number;
}

interface KernelWork {
  readonly kind: WorkKind;
  readonly work: (facts: Facts) => Work;
}

/** Reads and writes so many activation columns per row, and computes a little on each. */
const overColumns =
  (columns: (params: Facts['params']) => number, flops: number): KernelWork['work'] =>
  ({ rows, params, activation }) => ({
    flops: rows * columns(params) * flops,
    bytes: rows * columns(params) * activation,
  });

const cols = (times: number) => (params: Facts['params']) => times * params['cols']!;

const TABLE: Readonly<Record<KernelName, KernelWork>> = {
  embed: {
    kind: 'elementwise',
    work: ({ rows, params, element, activation }) => ({
      flops: 0,
      bytes: rows * params['hidden']! * (element + activation),
    }),
  },
  rms_norm: { kind: 'elementwise', work: overColumns(cols(2), 2) },
  add_rms_norm: { kind: 'elementwise', work: overColumns(cols(4), 2) },
  add: { kind: 'elementwise', work: overColumns(cols(3), 1) },
  silu_mul: { kind: 'elementwise', work: overColumns(cols(3), 2) },
  gelu_mul: { kind: 'elementwise', work: overColumns(cols(3), 6) },
  soft_cap: { kind: 'elementwise', work: overColumns(cols(2), 3) },
  gather_rows: { kind: 'elementwise', work: overColumns(cols(2), 0) },
  matmul: {
    kind: 'gemm',
    work: ({ rows, params, element, activation }) => {
      const [n, k] = [params['n']!, params['k']!];
      return { flops: 2 * rows * n * k, bytes: n * k * element + rows * (n + k) * activation };
    },
  },
  rope_append: {
    kind: 'elementwise',
    work: ({ rows, params, element, activation }) => {
      const [heads, kvHeads, dim] = [params['heads']!, params['kvHeads']!, params['headDim']!];
      const read = (heads + 2 * kvHeads) * dim * activation;
      return {
        flops: 6 * rows * (heads + kvHeads) * dim,
        bytes: rows * (2 * read + 2 * kvHeads * dim * element),
      };
    },
  },
  attention: {
    kind: 'attention',
    work: ({ rows, params, element, activation, step, attentionRows }) => {
      const [heads, kvHeads, dim] = [params['heads']!, params['kvHeads']!, params['headDim']!];
      const { pairs, keys, inTiles } = params['window'] === undefined ? step : (step.inWindow ?? step);
      const computed = (step.singleRows ? undefined : inTiles?.[attentionRows]?.pairs) ?? pairs;
      // Of pages with the kv heads of more query heads than the rank's, it reads those of its own.
      const read = Math.ceil((kvHeads * heads) / (params['pageHeads'] ?? heads));
      return {
        flops: 4 * computed * heads * dim,
        bytes:
          keys * 2 * read * dim * element +
          2 * rows * heads * dim * activation +
          // Read and written, whatever the window.
          (step.copied ?? 0) * 4 * kvHeads * dim * element,
      };
    },
  },
};

/**
 * Kernels for which a device may declare the fraction of their roofline that they reach: all but matrix products, whose
 * fraction it declares by their rows. Attention of single rows has a name of its own.
 */
export type ReachingKernel = Exclude<KernelName, 'matmul'> | 'decode_attention' | 'sample';

/** All of them. */
export const REACHING_KERNELS: readonly ReachingKernel[] = [
  ...Object.keys(TABLE).filter((name): name is Exclude<KernelName, 'matmul'> => name !== 'matmul'),
  'decode_attention',
  'sample',
];

/** The name under which a device declares what a kernel reaches in such a step. */
export function reachName(kernel: KernelName, { singleRows }: Pick<StepSize, 'singleRows'>): string {
  return kernel === 'attention' && singleRows ? 'decode_attention' : kernel;
}

/** The category that a kernel's time counts as. */
export function workKind(kernel: KernelName): WorkKind {
  return TABLE[kernel].kind;
}

/** The work of a kernel op by step, and by the rows of a sequence that attention computes together (default 1). */
type WorkOfSteps = (step: StepSize, attentionRows?: number) => Work;

/**
 * As `kernelWork`, for an op whose work is asked for in many steps.
 *
 * @param activation bytes of an element of activations in device memory
 */
export function workOfSteps(
  { kernel, dtype, rows, params }: Pick<KernelOp, 'kernel' | 'dtype' | 'rows' | 'params'>,
  activation = ACTIVATION_BYTES,
): WorkOfSteps {
  const { work } = TABLE[kernel];
  const element = bytesPerElement(dtype ?? 'f32');
  return (step, attentionRows = 1) =>
    work({ rows: step[rows], params, element, activation, step, attentionRows });
}

/**
 * The work of a kernel op in a step, and its category.
 *
 * @param attentionRows rows of a sequence that attention computes together
 */
export function kernelWork(
  op: Pick<KernelOp, 'kernel' | 'dtype' | 'rows' | 'params'>,
  step: StepSize,
  attentionRows = 1,
): Work & { readonly kind: WorkKind } {
  return { kind: workKind(op.kernel), ...workOfSteps(op)(step, attentionRows) };
}
