/**
 * A weight source hands out rectangles of checkpoint tensors. The file source reads the byte ranges of the rectangle
 * and nothing else: one read when the rectangle spans whole rows, one read per row otherwise.
 */
import { closeSync, readSync } from 'node:fs';
import type { Interval } from '../../compiler/ir/transitions.js';
import type { DType } from '../../compiler/model/shape.js';
import type { Rectangle } from '../../compiler/ir/rectangles.js';
import { roundUp } from '../../compiler/ir/device-layout.js';
import {
  FILE_TYPES,
  isFileType,
  packedBytes,
  type FileType,
  type WeightType,
} from '../../compiler/model/weight-types.js';
import { RuntimeFailure } from '../failure.js';
import { dequantise, FILE_BLOCKS, fileBytes, padRows } from './gguf/blocks.js';
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

/**
 * A source over the tensors of a model directory. Files are opened on first use and stay open until `close`. Quantised
 * blocks of a GGUF file are handed out as they are where `keeps` says so of a tensor, else as the f32 values they stand
 * for, of any columns.
 */
export function fileWeightSource(
  tensors: ReadonlyMap<string, StoredTensor>,
  keeps: (name: string, type: FileType) => boolean = () => true,
): WeightSource {
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
    if (!stored) return undefined;
    const matrix = matrixOf(stored);
    return isFileType(matrix.dtype) && !keeps(name, matrix.dtype) ? { ...matrix, dtype: 'f32' } : matrix;
  };
  return {
    tensor,
    read: (name, rows, cols) => {
      const stored = tensors.get(name);
      if (!stored) throw new RuntimeFailure('FC0912', `the model has no tensor ${name}`, { subject: name });
      const matrix = checkedRectangle(matrixOf(stored), name, rows, cols);
      if (rows[0] === rows[1] || cols[0] === cols[1]) return new Uint8Array(0);
      const read = (span: Interval): Uint8Array => {
        const bytes = readRectangle(fileOf(stored.file), stored, matrix, rows, span);
        return stored.plusOne ? lessOne(bytes) : bytes;
      };
      const { dtype } = matrix;
      if (!isFileType(dtype)) return read(cols);
      if (keeps(name, dtype)) return padRows(read(cols), dtype, cols[1] - cols[0]);
      const { elements } = FILE_BLOCKS[dtype];
      const whole: Interval = [cols[0] - (cols[0] % elements), roundUp(cols[1], elements)];
      return columnsOf(dequantise(read(whole), dtype), whole, cols);
    },
    close: () => {
      for (const file of open.values()) closeSync(file);
      open.clear();
    },
  };
}

/** Elements of type F32, less one. */
function lessOne(bytes: Uint8Array): Uint8Array {
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return new Uint8Array(values.map((value) => value - 1).buffer);
}

/** Bytes of a rectangle as the file has them; of quantised tensors it is whole blocks. */
function readRectangle(
  file: number,
  stored: StoredTensor,
  matrix: SourceTensor,
  rows: Interval,
  cols: Interval,
): Uint8Array {
  const { dtype } = matrix;
  const bytesOf = (elements: number): number =>
    isFileType(dtype) ? fileBytes(dtype, elements) : packedBytes(dtype, elements);
  const rowBytes = bytesOf(cols[1] - cols[0]);
  const out = new Uint8Array((rows[1] - rows[0]) * rowBytes);
  if (stored.neighboursOf !== undefined) {
    // Whole heads are read, as a head's rows are spread over it.
    const isVector = matrix.rows === 1;
    const heads = isVector ? cols : rows;
    const first = heads[0] - (heads[0] % stored.neighboursOf);
    const last = roundUp(heads[1], stored.neighboursOf);
    const entryBytes = bytesOf(isVector ? 1 : matrix.cols);
    const whole = new Uint8Array((last - first) * entryBytes);
    readFully(file, whole, stored.offset + first * entryBytes, stored);
    const wanted: Interval = [heads[0] - first, heads[1] - first];
    const slice: Interval = isVector ? [0, entryBytes] : [bytesOf(cols[0]), bytesOf(cols[1])];
    copyReordered(whole, stored.neighboursOf, { entryBytes, entries: wanted, slice }, out);
    return out;
  }
  const stride = bytesOf(matrix.cols);
  const at = (row: number): number => stored.offset + row * stride + bytesOf(cols[0]);
  if (rowBytes === stride) readFully(file, out, at(rows[0]), stored);
  else {
    for (let row = rows[0]; row < rows[1]; row++) {
      const start = (row - rows[0]) * rowBytes;
      readFully(file, out.subarray(start, start + rowBytes), at(row), stored);
    }
  }
  return out;
}

/** Columns `wanted` of rows that have the columns `held`, as bytes. */
function columnsOf(values: Float32Array, held: Interval, wanted: Interval): Uint8Array {
  const [width, kept] = [held[1] - held[0], wanted[1] - wanted[0]];
  const rows = values.length / width;
  const out = new Float32Array(rows * kept);
  for (let row = 0; row < rows; row++) {
    const first = row * width + wanted[0] - held[0];
    out.set(values.subarray(first, first + kept), row * kept);
  }
  return new Uint8Array(out.buffer);
}

/** Element types of weights by the names that files have for them. */
const STORED_TYPES: ReadonlyMap<string, DType | FileType> = new Map(
  (['f32', 'f16', 'bf16', ...FILE_TYPES] as const).map((type) => [type.toUpperCase(), type]),
);

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

function matrixOf(stored: StoredTensor): SourceTensor {
  const dtype = STORED_TYPES.get(stored.dtype);
  const [rows, cols] = stored.shape.length === 1 ? [1, stored.shape[0]] : stored.shape;
  if (!dtype || rows === undefined || cols === undefined || stored.shape.length > 2) {
    throw new RuntimeFailure(
      'FC0913',
      `tensor ${stored.name} in ${stored.file} is ${stored.dtype}[${stored.shape.join(', ')}]; weights must be ${[...STORED_TYPES.keys()].join(', ')}, of one or two dimensions`,
      {
        subject: stored.name,
        help: 'convert the weights to one of these types, or take a model that has them',
      },
    );
  }
  return { dtype, rows, cols, origin: stored.file };
}

/** Entries of whole heads (rows of a matrix, elements of a vector), and what of them is wanted. */
interface HeadEntries {
  readonly entryBytes: number;
  readonly entries: Interval;
  /** Bytes of every entry. */
  readonly slice: Interval;
}

/** Copies entries of heads that are stored as neighbours. */
function copyReordered(
  whole: Uint8Array,
  head: number,
  { entryBytes, entries, slice }: HeadEntries,
  out: Uint8Array,
): void {
  const bytes = slice[1] - slice[0];
  for (let entry = entries[0]; entry < entries[1]; entry++) {
    const inHead = entry % head;
    const stored = entry - inHead + (inHead < head / 2 ? 2 * inHead : 2 * inHead - head + 1);
    const start = stored * entryBytes + slice[0];
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
