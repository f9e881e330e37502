/**
 * The file format of the disk tier. A segment is a header of 4 KiB and then records of equal size, one per page:
 *
 *   header   magic "FULCRUMK", format version u32, bytes of text u32, CRC-32 of the text u32, text (JSON of SegmentHeader)
 *   record   the page in neutral order, then a trailer: page number u32, stamp u32, CRC-32 of the page u32, CRC-32 of
 *            those three u32, zeros up to a multiple of 4 KiB
 *
 * Numbers are little-endian. A stamp is new with every write, so a record that an older write left is told from the
 * one that was meant to replace it.
 */
import { crc32 } from 'node:zlib';
import type { DType } from '../../compiler/model/shape.js';

export const SEGMENT_FORMAT_VERSION = 1;
export const HEADER_BYTES = 4096;
const ALIGNMENT = 4096;
const TRAILER_BYTES = 16;
const MAGIC = new TextEncoder().encode('FULCRUMK');
const TEXT_AT = MAGIC.length + 12;

/** What KV must be of to mean anything to a reader. */
export interface KvIdentity {
  /** Names the weights, by a hash or otherwise. */
  readonly model: string;
  /** Of the neutral layout `[layer, kv head, token, K|V, head_dim]` of a page. */
  readonly layers: number;
  readonly kvHeads: number;
  readonly pageTokens: number;
  readonly headDim: number;
  readonly dtype: DType;
}

export interface SegmentHeader {
  readonly identity: KvIdentity;
  /** The run that wrote the segment, and which of its segments it is. */
  readonly run: string;
  readonly segment: number;
  readonly pageBytes: number;
}

/** Bytes from one record to the next. */
export function recordBytes(pageBytes: number): number {
  return Math.ceil((pageBytes + TRAILER_BYTES) / ALIGNMENT) * ALIGNMENT;
}

export function encodeHeader(header: SegmentHeader): Uint8Array {
  const text = new TextEncoder().encode(headerText(header));
  const bytes = new Uint8Array(HEADER_BYTES);
  if (TEXT_AT + text.length > HEADER_BYTES) throw new RangeError('the name of the model is too long');
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(MAGIC.length, SEGMENT_FORMAT_VERSION, true);
  view.setUint32(MAGIC.length + 4, text.length, true);
  view.setUint32(MAGIC.length + 8, crc32(text), true);
  bytes.set(text, TEXT_AT);
  return bytes;
}

/** Whether a file that begins with these bytes is a segment of any run and version of ours. */
export function isSegment(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && MAGIC.every((byte, i) => bytes[i] === byte);
}

/** Whether the bytes are exactly the header of this segment; anything else is another's file or damaged. */
export function isHeaderOf(bytes: Uint8Array, header: SegmentHeader): boolean {
  const expected = encodeHeader(header);
  return bytes.length === expected.length && expected.every((byte, i) => byte === bytes[i]);
}

/** The order of the fields is part of the format. */
function headerText({ identity, run, segment, pageBytes }: SegmentHeader): string {
  const { model, layers, kvHeads, pageTokens, headDim, dtype } = identity;
  const layout = { order: 'layer,head,token,kv,dim', layers, kvHeads, pageTokens, headDim };
  return JSON.stringify({ model, layout, dtype, run, segment, pageBytes });
}

/** What the trailer of a record says about its page. */
export interface Trailer {
  readonly page: number;
  readonly stamp: number;
  readonly checksum: number;
}

/** Writes a trailer at the start of `bytes`, which are zeros otherwise. */
export function encodeTrailer(bytes: Uint8Array, { page, stamp, checksum }: Trailer): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, TRAILER_BYTES);
  view.setUint32(0, page, true);
  view.setUint32(4, stamp, true);
  view.setUint32(8, checksum, true);
  view.setUint32(12, crc32(bytes.subarray(0, 12)), true);
}

/** The trailer at the start of `bytes`; undefined when it does not match its own checksum. */
export function decodeTrailer(bytes: Uint8Array): Trailer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, TRAILER_BYTES);
  if (view.getUint32(12, true) !== crc32(bytes.subarray(0, 12))) return undefined;
  return {
    page: view.getUint32(0, true),
    stamp: view.getUint32(4, true),
    checksum: view.getUint32(8, true),
  };
}
