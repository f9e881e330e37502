/**
 * Reads the header of a GGUF file: metadata and where every tensor lies. Nothing in a file is believed before it is
 * checked against the file's size, so a truncated or foreign one is a failure and never a wrong read.
 *
 * Layout (little-endian): `GGUF`, version (u32: 2 or 3), number of tensors (u64), number of metadata entries (u64);
 * per entry a key, a type and a value; per tensor its name, number of dimensions (u32), dimensions (u64, the innermost
 * first), type (u32) and offset (u64) into the data, which begin at the next multiple of `general.alignment` (32 if
 * absent) and have the tensors one behind the other, each padded to such a multiple. A string is its length (u64) and
 * UTF-8 bytes; an array its element type (u32), length (u64) and elements.
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { RuntimeFailure } from '../../failure.js';
import { openModelFile } from '../open-file.js';

export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

export interface GgufTensor {
  readonly name: string;
  /** `F32`, `Q8_0` ...; see `TENSOR_TYPES`. */
  readonly type: string;
  /** Outermost dimension first, as in a Hugging Face checkpoint. */
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensor[];
}

/** Tensor types by number: name, elements of a block and its bytes. */
const TENSOR_TYPES: ReadonlyMap<number, readonly [name: string, block: number, bytes: number]> = new Map([
  [0, ['F32', 1, 4]],
  [1, ['F16', 1, 2]],
  [2, ['Q4_0', 32, 18]],
  [3, ['Q4_1', 32, 20]],
  [6, ['Q5_0', 32, 22]],
  [7, ['Q5_1', 32, 24]],
  [8, ['Q8_0', 32, 34]],
  [10, ['Q2_K', 256, 84]],
  [11, ['Q3_K', 256, 110]],
  [12, ['Q4_K', 256, 144]],
  [13, ['Q5_K', 256, 176]],
  [14, ['Q6_K', 256, 210]],
  [30, ['BF16', 1, 2]],
]);

const MAX_DIMENSIONS = 4;
/** How deep arrays may be nested; the format has no use for more than one level. */
const MAX_DEPTH = 4;
const DEFAULT_ALIGNMENT = 32;
const CHUNK_BYTES = 1 << 20;

/** Fails with FC0910 when there is no such file, FC0911 when it is damaged, FC0913 for a tensor of unknown type. */
export function readGgufHeader(path: string): GgufHeader {
  const file = openModelFile(path);
  try {
    return parse(path, byteReader(path, file));
  } finally {
    closeSync(file);
  }
}

/** Why a GGUF file cannot be read. */
export function damagedGguf(path: string, what: string, subject = path): RuntimeFailure {
  const help = 'fetch or convert the file again';
  return new RuntimeFailure('FC0911', `cannot read ${path}: ${what}`, { subject, help });
}

function parse(path: string, reader: ByteReader): GgufHeader {
  if (reader.size < 24 || reader.take(4).toString('latin1') !== 'GGUF') {
    throw damagedGguf(path, 'it does not begin with `GGUF`: this is no GGUF file');
  }
  const version = reader.take(4).readUInt32LE();
  if (version !== 2 && version !== 3) {
    throw damagedGguf(path, `it is of version ${version}; versions 2 and 3 can be read`);
  }
  const tensorCount = reader.count('tensors', 24);
  const entryCount = reader.count('metadata entries', 12);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entryCount; i++) {
    const key = reader.text();
    metadata.set(key, readValue(path, reader, reader.take(4).readUInt32LE(), 0));
  }
  const declared = Array.from({ length: tensorCount }, () => readTensor(path, reader));
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || alignment < 1 || alignment % 8 !== 0) {
    throw damagedGguf(path, '`general.alignment` is no positive multiple of 8');
  }
  const start = padded(reader.position(), alignment);
  const end = start + refuseGaps(path, declared, alignment);
  const tensors = declared.map((tensor) => ({ ...tensor, offset: start + tensor.offset }));
  for (const { name, offset, bytes } of tensors) {
    if (offset + bytes <= reader.size) continue;
    const what = `tensor ${name} ends at byte ${offset + bytes}, the file has ${reader.size}: it is truncated`;
    throw damagedGguf(path, what, name);
  }
  if (end < reader.size) {
    throw damagedGguf(path, `its tensors end at byte ${end}, the file has ${reader.size}`);
  }
  return { metadata, tensors };
}

/**
 * Bytes of all data. Tensors fill them but for padding, so that one which is left out or lies elsewhere than it was
 * written is found, wherever in the header the mistake is.
 */
function refuseGaps(path: string, tensors: readonly GgufTensor[], alignment: number): number {
  let end = 0;
  for (const { name, offset, bytes } of [...tensors].sort(
    (a, b) => a.offset - b.offset || a.bytes - b.bytes,
  )) {
    if (offset !== end) {
      const what = `tensor ${name} begins at byte ${offset} of the data, where ${end} is next`;
      throw damagedGguf(path, what, name);
    }
    end = padded(offset + bytes, alignment);
  }
  return end;
}

function padded(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

function readTensor(path: string, reader: ByteReader): GgufTensor {
  const name = reader.text();
  const dimensions = reader.take(4).readUInt32LE();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw damagedGguf(path, `tensor ${name} has ${dimensions} dimensions`, name);
  }
  const inner = Array.from({ length: dimensions }, () => reader.size64(`a dimension of ${name}`));
  const type = reader.take(4).readUInt32LE();
  const offset = reader.size64(`the offset of ${name}`);
  const known = TENSOR_TYPES.get(type);
  if (!known) {
    throw new RuntimeFailure('FC0913', `tensor ${name} in ${path} is of type ${type}, which is not known`, {
      subject: name,
    });
  }
  const [typeName, block, blockBytes] = known;
  const elements = inner.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(elements * blockBytes) || inner[0]! % block !== 0) {
    throw damagedGguf(path, `tensor ${name} of ${inner.join(' x ')} cannot be ${typeName}`, name);
  }
  const shape = inner.reverse();
  return { name, type: typeName, shape, offset, bytes: (elements / block) * blockBytes };
}

/** Readers of scalar metadata by type number, with the bytes they take. */
const SCALARS: ReadonlyMap<number, readonly [bytes: number, read: (from: Buffer) => GgufValue]> = new Map([
  [0, [1, (from) => from.readUInt8()]],
  [1, [1, (from) => from.readInt8()]],
  [2, [2, (from) => from.readUInt16LE()]],
  [3, [2, (from) => from.readInt16LE()]],
  [4, [4, (from) => from.readUInt32LE()]],
  [5, [4, (from) => from.readInt32LE()]],
  [6, [4, (from) => from.readFloatLE()]],
  [7, [1, (from) => from.readUInt8() !== 0]],
  [10, [8, (from) => from.readBigUInt64LE()]],
  [11, [8, (from) => from.readBigInt64LE()]],
  [12, [8, (from) => from.readDoubleLE()]],
]);
const STRING = 8;
const ARRAY = 9;

function readValue(path: string, reader: ByteReader, type: number, depth: number): GgufValue {
  if (type === STRING) return reader.text();
  if (type === ARRAY) {
    if (depth >= MAX_DEPTH) throw damagedGguf(path, 'its metadata has arrays within arrays within arrays');
    const of = reader.take(4).readUInt32LE();
    const length = reader.count('array elements', SCALARS.get(of)?.[0] ?? 8);
    return Array.from({ length }, () => readValue(path, reader, of, depth + 1));
  }
  const scalar = SCALARS.get(type);
  if (!scalar) throw damagedGguf(path, `its metadata has a value of type ${type}, which does not exist`);
  return scalar[1](reader.take(scalar[0]));
}

interface ByteReader {
  readonly size: number;
  readonly position: () => number;
  /** The next bytes; fails where the file ends before. */
  readonly take: (bytes: number) => Buffer;
  readonly text: () => string;
  /** A u64 that must be exact as a number. */
  readonly size64: (what: string) => number;
  /** A u64 that counts things of at least `least` bytes each, all of which must fit into the rest of the file. */
  readonly count: (what: string, least: number) => number;
}

function byteReader(path: string, file: number): ByteReader {
  const { size } = fstatSync(file);
  let chunk = Buffer.alloc(0);
  let chunkAt = 0;
  let at = 0;
  const take = (bytes: number): Buffer => {
    if (at + bytes > size)
      throw damagedGguf(path, `its header ends beyond the file's ${size} bytes: it is truncated`);
    if (at < chunkAt || at + bytes > chunkAt + chunk.length) {
      chunk = Buffer.alloc(Math.min(Math.max(bytes, CHUNK_BYTES), size - at));
      chunkAt = at;
      let done = 0;
      while (done < chunk.length) {
        const got = readSync(file, chunk, done, chunk.length - done, at + done);
        if (got === 0) throw damagedGguf(path, 'it became shorter while it was read');
        done += got;
      }
    }
    const taken = chunk.subarray(at - chunkAt, at - chunkAt + bytes);
    at += bytes;
    return taken;
  };
  const size64 = (what: string): number => {
    const value = Number(take(8).readBigUInt64LE());
    if (!Number.isSafeInteger(value)) throw damagedGguf(path, `${what} is ${value}`);
    return value;
  };
  const count = (what: string, least: number): number => {
    const value = size64(`its number of ${what}`);
    if (value * least > size - at)
      throw damagedGguf(path, `it claims ${value} ${what} and has ${size} bytes`);
    return value;
  };
  return {
    size,
    position: () => at,
    take,
    size64,
    count,
    text: () => take(count('characters', 1)).toString('utf8'),
  };
}
