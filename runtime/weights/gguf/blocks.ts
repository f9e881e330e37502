/**
 * Quantised blocks of GGUF files: what the bytes of a row are, how they lie in device memory, and what they stand for.
 * `compiler/model/weight-types.ts` describes the bytes.
 */
import { packedBytes, type FileType } from '../../../compiler/model/weight-types.js';
import { f16ToF32 } from '../convert.js';

/** Elements of a block of the file and its bytes; a device block may be two of them. */
export interface FileBlock {
  readonly elements: number;
  readonly bytes: number;
}

export const FILE_BLOCKS: Readonly<Record<FileType, FileBlock>> = {
  q8_0: { elements: 32, bytes: 34 },
  q4_0: { elements: 32, bytes: 18 },
  q4_k: { elements: 256, bytes: 144 },
  q6_k: { elements: 256, bytes: 210 },
};

/** Rows of `cols` elements as devices hold them: a row of an odd number of blocks ends with zeros. */
export function padRows(bytes: Uint8Array, type: FileType, cols: number): Uint8Array {
  const width = fileBytes(type, cols);
  const padded = packedBytes(type, cols);
  if (width === padded) return bytes;
  const rows = bytes.length / width;
  const out = new Uint8Array(rows * padded);
  for (let row = 0; row < rows; row++) {
    out.set(bytes.subarray(row * width, (row + 1) * width), row * padded);
  }
  return out;
}

/** Bytes in the file of so many elements of whole blocks. */
export function fileBytes(type: FileType, elements: number): number {
  return (elements / FILE_BLOCKS[type].elements) * FILE_BLOCKS[type].bytes;
}

/** The values of whole blocks of a file, rounded to f32. */
export function dequantise(bytes: Uint8Array, type: FileType): Float32Array {
  const { elements, bytes: blockBytes } = FILE_BLOCKS[type];
  const out = new Float32Array((bytes.length / blockBytes) * elements);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0, to = 0; at < bytes.length; at += blockBytes, to += elements) {
    READERS[type](view, at, out.subarray(to, to + elements));
  }
  return out;
}

type BlockReader = (view: DataView, at: number, out: Float32Array) => void;

const READERS: Readonly<Record<FileType, BlockReader>> = {
  q8_0: (view, at, out) => {
    const scale = half(view, at);
    for (let i = 0; i < 32; i++) out[i] = scale * view.getInt8(at + 2 + i);
  },
  q4_0: (view, at, out) => {
    const scale = half(view, at);
    for (let i = 0; i < 16; i++) {
      const byte = view.getUint8(at + 2 + i);
      out[i] = scale * ((byte & 15) - 8);
      out[i + 16] = scale * ((byte >> 4) - 8);
    }
  },
  q4_k: (view, at, out) => {
    const [scale, least] = [half(view, at), half(view, at + 2)];
    const packed = (i: number): number => view.getUint8(at + 4 + i);
    for (let part = 0; part < 8; part++) {
      // Scale and minimum of the first four parts are six bits each; the others' upper two lie above those.
      const upper = (i: number): number => (packed(i) >> 6) << 4;
      const s = part < 4 ? packed(part) & 63 : (packed(part + 4) & 15) | upper(part - 4);
      const t = part < 4 ? packed(part + 4) & 63 : (packed(part + 4) >> 4) | upper(part);
      const nibbles = at + 16 + (part >> 1) * 32;
      for (let i = 0; i < 32; i++) {
        const level = (view.getUint8(nibbles + i) >> (4 * (part & 1))) & 15;
        out[part * 32 + i] = scale * s * level - least * t;
      }
    }
  },
  q6_k: (view, at, out) => {
    const scale = half(view, at + 208);
    for (let i = 0; i < 256; i++) {
      const [side, quarter, within] = [i >> 7, (i >> 5) & 3, i & 31];
      const low = view.getUint8(at + side * 64 + (quarter & 1) * 32 + within) >> (4 * (quarter >> 1));
      const high = view.getUint8(at + 128 + side * 32 + within) >> (2 * quarter);
      const level = ((low & 15) | ((high & 3) << 4)) - 32;
      out[i] = scale * view.getInt8(at + 192 + (i >> 4)) * level;
    }
  },
};

function half(view: DataView, at: number): number {
  return new Float32Array(f16ToF32(Uint16Array.of(view.getUint16(at, true))).buffer)[0]!;
}
