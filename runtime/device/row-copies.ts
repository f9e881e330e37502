/**
 * Copies of rows by way of a texture. WebGPU copies between a buffer and a texture row by row, each side with a stride
 * of its own, so a rectangle of a matrix takes two commands however many rows it has. Commands per row cost the host
 * some 2 us each, and a kernel takes three times as long on a software device. As the bytes come to lie outside all
 * buffers on the way, rows may go from a buffer to itself, which WebGPU does not copy directly.
 *
 * A stride must be a multiple of 256 bytes. Rows with another are taken in turns: with a stride of 96 every 8th row,
 * 768 bytes apart, by one command, then those after them.
 */
import type { RowCopy, RowScratch } from './device.js';

/** Row memory on this device: a texture of 4-byte texels. */
export interface TextureScratch extends RowScratch {
  readonly gpu: GPUTexture;
  readonly rowBytes: number;
  readonly rows: number;
}

const TEXEL_BYTES = 4;
const STRIDE_ALIGNMENT = 256;
/** Long enough for the rate of long rows, and short enough that many rows fit in a cache. */
const ROW_BYTES = 2048;
/** A run of this size is copied by a command of its own as fast as by way of the texture. */
const DIRECT_BYTES = 16 * 1024;

export function createTextureScratch(device: GPUDevice, label: string, bytes: number): TextureScratch {
  const most = device.limits.maxTextureDimension2D;
  const rows = Math.min(most, Math.max(1, Math.floor(bytes / ROW_BYTES)));
  const gpu = device.createTexture({
    label,
    size: [ROW_BYTES / TEXEL_BYTES, rows],
    format: 'r32uint',
    usage: GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST,
  });
  return { label, bytes: ROW_BYTES * rows, gpu, rowBytes: ROW_BYTES, rows };
}

/** A rectangle of bytes in two buffers. */
type Block = Pick<RowCopy, 'fromAt' | 'fromStride' | 'toAt' | 'toStride' | 'runBytes' | 'rows'>;

/** Records a copy of rows from one GPU buffer to another, or to itself. */
export function recordRows(
  encoder: GPUCommandEncoder,
  from: GPUBuffer,
  to: GPUBuffer,
  copy: Block,
  scratch: TextureScratch,
): void {
  const whole = joinRuns(copy);
  if (from !== to && (whole.rows === 1 || whole.runBytes >= DIRECT_BYTES)) {
    for (let row = 0; row < whole.rows; row++) {
      const { fromAt, fromStride, toAt, toStride, runBytes } = whole;
      encoder.copyBufferToBuffer(from, fromAt + row * fromStride, to, toAt + row * toStride, runBytes);
    }
    return;
  }
  for (const block of cutBlocks(whole, scratch.rowBytes, scratch.rows)) {
    const { fromAt, fromStride, toAt, toStride, rows } = block;
    const turns = rows === 1 ? 1 : Math.max(turnsOf(fromStride), turnsOf(toStride));
    forEachTurn(block, turns, fromAt, fromStride, (place, y, size) =>
      encoder.copyBufferToTexture({ buffer: from, ...place }, { texture: scratch.gpu, origin: [0, y] }, size),
    );
    forEachTurn(block, turns, toAt, toStride, (place, y, size) =>
      encoder.copyTextureToBuffer({ texture: scratch.gpu, origin: [0, y] }, { buffer: to, ...place }, size),
    );
  }
}

type Command = (
  place: { readonly offset: number; readonly bytesPerRow?: number },
  y: number,
  size: readonly [number, number],
) => void;

/** One command per turn on one side of a block; the rows of a turn lie together in the texture. */
function forEachTurn(
  { runBytes, rows }: Block,
  turns: number,
  at: number,
  stride: number,
  record: Command,
): void {
  let y = 0;
  for (let turn = 0; turn < Math.min(turns, rows); turn++) {
    const mine = Math.ceil((rows - turn) / turns);
    const place = { offset: at + turn * stride, ...(mine > 1 && { bytesPerRow: turns * stride }) };
    record(place, y, [runBytes / TEXEL_BYTES, mine]);
    y += mine;
  }
}

/** The copy as one run where its rows follow each other without a gap on both sides. */
function joinRuns(copy: Block): Block {
  const { fromStride, toStride, runBytes, rows } = copy;
  if (fromStride !== runBytes || toStride !== runBytes) return copy;
  return { ...copy, runBytes: runBytes * rows, rows: 1 };
}

/** How many turns bring rows of a stride to one that commands take: the alignment is a power of two. */
function turnsOf(stride: number): number {
  let turns = 1;
  while ((turns * stride) % STRIDE_ALIGNMENT !== 0) turns *= 2;
  return turns;
}

/** Cuts a copy into blocks of at most `rows` rows of `rowBytes`; a single run becomes rows of that length. */
function* cutBlocks(copy: Block, rowBytes: number, rows: number): Generator<Block> {
  const { fromAt, fromStride, toAt, toStride, runBytes } = copy;
  if (copy.rows === 1 && runBytes > rowBytes) {
    const whole = Math.floor(runBytes / rowBytes);
    const done = whole * rowBytes;
    const dense = { fromStride: rowBytes, toStride: rowBytes };
    yield* cutBlocks({ ...copy, ...dense, runBytes: rowBytes, rows: whole }, rowBytes, rows);
    if (done < runBytes)
      yield { ...dense, fromAt: fromAt + done, toAt: toAt + done, runBytes: runBytes - done, rows: 1 };
    return;
  }
  for (let first = 0; first < copy.rows; first += rows) {
    for (let at = 0; at < runBytes; at += rowBytes) {
      yield {
        fromAt: fromAt + first * fromStride + at,
        fromStride,
        toAt: toAt + first * toStride + at,
        toStride,
        runBytes: Math.min(rowBytes, runBytes - at),
        rows: Math.min(rows, copy.rows - first),
      };
    }
  }
}
