/**
 * A weight source hands out rectangles of checkpoint tensors. The file source reads the byte ranges of the rectangle
 * and nothing else: one read when the rectangle spans whole rows, one read per row otherwise.
 */
import { closeSync, readSync } from 'node:fs';
import type { Interval } from '../../compiler/ir/transitions.js';
import { BYTES_OF, type DType } from '../../compiler/model/shape.js';
import type { Rectangle } from '../../compiler/ir/rectangles.js';
import type { WeightType } from '../../compiler/model/weight-types.js';
import { RuntimeFailure } from '../failure.js';
import { openModelFile } from './open-file.js';
import type { StoredTensor } from './safetensors.js';

/** A tensor as a matrix; a vector has one row. */
export interface SourceTensor {
  readonly dtype: WeightType;
  readonly rows: number;
  readonly cols: number;
  /** Where it comes from, for messages: a file path or `random(7)`. */
  readonly origin: string;
}

export interface WeightSource {
  /** The tensor of this name, or undefined. Fails with FC0913 when its dtype or rank is none of a weight's. */
  readonly tensor: (name: string) => SourceTensor | undefined;
  /**
   * Elements of the rectangle, row-major and tightly packed, in the source's dtype; of a quantised one its columns
   * begin and end with blocks, or end with the row. The bytes may be a view of memory
   * the source keeps, or of `into`, which it may use where it has to put bytes together: read only. Fails with FC0912
   * for an unknown tensor, FC0911 for a file that has become shorter.
   */
  readonly read: (name: string, rows: Interval, cols: Interval, into?: Uint8Array) => Uint8Array;
  /**
   * Cuts a rectangle into parts that are each read as a view, without putting bytes together. Absent where a source
   * keeps nothing.
   */
  readonly parts?: (name: string, rows: Interval, cols: Interval) => readonly Rectangle[];
  /** Releases files. */
  readonly close: () => void;
}

/** Most bytes one read call asks for; below the 2 GiB limit of the operating system. */
const READ_CHUNK = 1 << 30;

/** A source over the tensors of a model directory. Files are opened on first use and stay open until `close`. */
export function fileWeightSource(tensors: ReadonlyMap<string, StoredTensor>): WeightSource {
  const open = new Map<string, number>();
  const fileOf = (path: string): number => {
    let file = open.get(path);
    if (file === undefined) {
      file = openModelFile(path);
      open.set(path, file);
    }
    return file;
  };
  const tensor = (name: string): SourceTensor | undefined => {
    const stored = tensors.get(name);
    return stored && matrixOf(stored);
  };
  return {
    tensor,
    read: (name, rows, cols) => {
      const stored = tensors.get(name);
      if (!stored) throw new RuntimeFailure('FC0912', `the model has no tensor ${name}`, { subject: name });
      const matrix = checkedRectangle(matrixOf(stored), name, rows, cols);
      const elementBytes = BYTES_OF[matrix.dtype];
      const rowBytes = (cols[1] - cols[0]) * elementBytes;
      const out = new Uint8Array((rows[1] - rows[0]) * rowBytes);
      if (out.length === 0) return out;
      const file = fileOf(stored.file);
      if (stored.neighboursOf !== undefined) {
        // Whole heads are read, as a head's rows are spread over it.
        const heads = matrix.rows === 1 ? cols : rows;
        const first = heads[0] - (heads[0] % stored.neighboursOf);
        const last = Math.ceil(heads[1] / stored.neighboursOf) * stored.neighboursOf;
        const entryBytes = (matrix.rows === 1 ? 1 : matrix.cols) * elementBytes;
        const whole = new Uint8Array((last - first) * entryBytes);
        readFully(file, whole, stored.offset + first * entryBytes, stored);
        const wanted: Interval = [heads[0] - first, heads[1] - first];
        const slice: Interval = matrix.rows === 1 ? [0, 1] : cols;
        copyReordered(whole, stored.neighboursOf, { entryBytes, elementBytes, entries: wanted, slice }, out);
        return out;
      }
      const at = (row: number): number => stored.offset + (row * matrix.cols + cols[0]) * elementBytes;
      if (rowBytes === matrix.cols * elementBytes) readFully(file, out, at(rows[0]), stored);
      else {
        for (let row = rows[0]; row < rows[1]; row++) {
          const start = (row - rows[0]) * rowBytes;
          readFully(file, out.subarray(start, start + rowBytes), at(row), stored);
        }
      }
      return out;
    },
    close: () => {
      for (const file of open.values()) closeSync(file);
      open.clear();
    },
  };
}

/** Element type of a weight stored as `F32`, `F16` or `BF16`; undefined for the rest. */
export function weightDType(stored: string): DType | undefined {
  return ({ F32: 'f32', F16: 'f16', BF16: 'bf16' } as const)[stored];
}

/** The tensor itself if the rectangle lies in it; asking for one that does not is a bug of the caller. */
export function checkedRectangle<Tensor extends SourceTensor>(
  tensor: Tensor,
  name: string,
  rows: Interval,
  cols: Interval,
): Tensor {
  const inside = (interval: Interval, size: number): boolean =>
    interval[0] >= 0 && interval[0] <= interval[1] && interval[1] <= size;
  if (!inside(rows, tensor.rows) || !inside(cols, tensor.cols)) {
    throw new RangeError(
      `[${rows.join()}) x [${cols.join()}) is outside ${name} [${tensor.rows}, ${tensor.cols}]`,
    );
  }
  return tensor;
}

function matrixOf(stored: StoredTensor): SourceTensor & { readonly dtype: DType } {
  const dtype = weightDType(stored.dtype);
  const [rows, cols] = stored.shape.length === 1 ? [1, stored.shape[0]] : stored.shape;
  if (!dtype || rows === undefined || cols === undefined || stored.shape.length > 2) {
    throw new RuntimeFailure(
      'FC0913',
      `tensor ${stored.name} in ${stored.file} is ${stored.dtype}[${stored.shape.join(', ')}]; weights must be F32, F16 or BF16 of one or two dimensions`,
      { subject: stored.name },
    );
  }
  return { dtype, rows, cols, origin: stored.file };
}

/** Entries of whole heads (rows of a matrix, elements of a vector), and what of them is wanted. */
interface HeadEntries {
  readonly entryBytes: number;
  readonly elementBytes: number;
  readonly entries: Interval;
  /** Elements of every entry. */
  readonly slice: Interval;
}

/** Copies entries of heads that are stored as neighbours. */
function copyReordered(
  whole: Uint8Array,
  head: number,
  { entryBytes, elementBytes, entries, slice }: HeadEntries,
  out: Uint8Array,
): void {
  const bytes = (slice[1] - slice[0]) * elementBytes;
  for (let entry = entries[0]; entry < entries[1]; entry++) {
    const inHead = entry % head;
    const stored = entry - inHead + (inHead < head / 2 ? 2 * inHead : 2 * inHead - head + 1);
    const start = stored * entryBytes + slice[0] * elementBytes;
    out.set(whole.subarray(start, start + bytes), (entry - entries[0]) * bytes);
  }
}

function readFully(file: number, target: Uint8Array, position: number, stored: StoredTensor): void {
  let done = 0;
  while (done < target.length) {
    const count = readSync(file, target, done, Math.min(READ_CHUNK, target.length - done), position + done);
    if (count === 0) {
      throw new RuntimeFailure('FC0911', `${stored.file} ends inside tensor ${stored.name}`, {
        subject: stored.name,
        help: 'the file changed after it was opened',
      });
    }
    done += count;
  }
}
