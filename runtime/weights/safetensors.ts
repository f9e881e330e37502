/**
 * Reads the header of a safetensors file: 8 bytes of little-endian header length, that many bytes of JSON, then the
 * data. Promises that every tensor it returns lies inside the file, has as many bytes as its shape and dtype ask for
 * and overlaps no other; a file that breaks this is a RuntimeFailure naming file and tensor. Only the header is read.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { RuntimeFailure } from '../failure.js';
import { openModelFile } from './open-file.js';

/** Bytes per element of every safetensors dtype of whole bytes. */
const STORED_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
};

/** The format's own limit on a header. */
const MAX_HEADER_BYTES = 100_000_000;

/** Where one tensor lies. */
export interface StoredTensor {
  readonly name: string;
  /** Path of the file. */
  readonly file: string;
  /** As written in the file: `F32`, `BF16`, `I64` ... */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
  /**
   * Set where the rows of every head of so many rows are stored as neighbours `0, h/2, 1, h/2 + 1 ...` for rotary
   * embeddings; a source gives them in the order of the head.
   */
  readonly neighboursOf?: number;
  /** Set where the file has every element plus one; a source gives the element. Of type F32 only. */
  readonly plusOne?: true;
}

/** Tensors of one file by name. Fails with FC0910 when there is no such file, FC0911 when it is damaged. */
export function readSafetensorsHeader(path: string): Map<string, StoredTensor> {
  const { header, dataStart, dataBytes } = readHeader(path);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    tensors.set(name, checkedTensor(path, name, entry, dataStart, dataBytes));
  }
  refuseOverlaps(path, tensors);
  return tensors;
}

function readHeader(path: string): { header: object; dataStart: number; dataBytes: number } {
  const file = openModelFile(path);
  try {
    const { size } = fstatSync(file);
    if (size < 8) throw damaged(path, `it has ${size} bytes, too few for a header`);
    const head = Buffer.alloc(8);
    readSync(file, head, 0, 8, 0);
    const headerBytes = Number(head.readBigUInt64LE(0));
    if (headerBytes > MAX_HEADER_BYTES) {
      throw damaged(path, `it claims a header of ${headerBytes} bytes; this is no safetensors file`);
    }
    if (8 + headerBytes > size) {
      throw damaged(path, `its header needs ${8 + headerBytes} bytes, the file has ${size}: it is truncated`);
    }
    const text = Buffer.alloc(headerBytes);
    readSync(file, text, 0, headerBytes, 8);
    return { header: parseHeader(path, text), dataStart: 8 + headerBytes, dataBytes: size - 8 - headerBytes };
  } finally {
    closeSync(file);
  }
}

function parseHeader(path: string, text: Buffer): object {
  let header: unknown;
  try {
    header = JSON.parse(text.toString('utf8'));
  } catch (cause) {
    throw damaged(path, `its header is not JSON (${reason(cause)})`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw damaged(path, 'its header is not a JSON object');
  }
  return header;
}

function checkedTensor(
  path: string,
  name: string,
  entry: unknown,
  dataStart: number,
  dataBytes: number,
): StoredTensor {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof dtype !== 'string') throw damaged(path, `tensor ${name} has no dtype`, name);
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw damaged(path, `tensor ${name} has no shape`, name);
  if (
    !Array.isArray(offsets) ||
    offsets.length !== 2 ||
    !offsets.every(isCount) ||
    offsets[0]! > offsets[1]!
  ) {
    throw damaged(path, `tensor ${name} has no valid data_offsets`, name);
  }
  const [start, end] = offsets as [number, number];
  if (end > dataBytes) {
    throw damaged(
      path,
      `tensor ${name} ends at byte ${end} of the data, the file has ${dataBytes}: it is truncated`,
      name,
    );
  }
  const elementBytes = STORED_BYTES[dtype];
  const expected = elementBytes && shape.reduce((a, b) => a * b, elementBytes);
  if (expected !== undefined && expected !== end - start) {
    throw damaged(
      path,
      `tensor ${name} of ${dtype}[${shape.join(', ')}] needs ${expected} bytes and has ${end - start}`,
      name,
    );
  }
  return { name, file: path, dtype, shape, offset: dataStart + start, bytes: end - start };
}

function refuseOverlaps(path: string, tensors: ReadonlyMap<string, StoredTensor>): void {
  const sorted = [...tensors.values()].filter((t) => t.bytes > 0).sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < sorted.length; i++) {
    const before = sorted[i - 1]!;
    const tensor = sorted[i]!;
    if (before.offset + before.bytes > tensor.offset) {
      throw damaged(path, `tensors ${before.name} and ${tensor.name} overlap`, tensor.name);
    }
  }
}

function damaged(path: string, what: string, tensor?: string): RuntimeFailure {
  return new RuntimeFailure('FC0911', `cannot read ${path}: ${what}`, {
    subject: tensor ?? path,
    help: 'fetch or convert the file again',
  });
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
