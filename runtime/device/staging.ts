/**
 * Reads device memory back through a pool of mapped staging buffers. All ranges of one read share a staging buffer,
 * one copy submission and one map; several reads may be outstanding, each with a buffer of its own. Staging memory
 * is host memory and is kept for reuse, rounded up to powers of two.
 */

export interface StagingRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

export interface StagingPool {
  /** Submits the copies at once; the bytes come in the order of the ranges, in arrays owned by the caller. */
  read(ranges: readonly StagingRange[]): Promise<Uint8Array[]>;
  /**
   * Ends the encoder with copies of word-aligned ranges, submits it, and gives `visit` the bytes where they are mapped.
   */
  readThrough(
    encoder: GPUCommandEncoder,
    ranges: readonly StagingRange[],
    visit: (bytes: Uint8Array) => void,
  ): Promise<void>;
  destroy(): void;
}

const SMALLEST = 64 * 1024;
/** A read beyond this is split over several staging buffers. */
const LARGEST = 256 * 1024 * 1024;

/** Part of a range, at its place in a staging buffer. */
interface Piece {
  readonly range: number;
  readonly from: number;
  readonly to: number;
  readonly at: number;
}

export function createStagingPool(device: GPUDevice): StagingPool {
  const idle = new Map<number, GPUBuffer[]>();
  const all = new Set<GPUBuffer>();

  const take = (bytes: number): GPUBuffer => {
    const size = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(Math.max(1, bytes))));
    const pooled = idle.get(size)?.pop();
    if (pooled !== undefined) return pooled;
    const buffer = device.createBuffer({
      label: 'staging',
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    all.add(buffer);
    return buffer;
  };
  const giveBack = (buffer: GPUBuffer): void => {
    const list = idle.get(buffer.size);
    if (list === undefined) idle.set(buffer.size, [buffer]);
    else list.push(buffer);
  };

  return {
    async read(ranges) {
      const results = ranges.map((range) => new Uint8Array(range.bytes));
      const batches = pack(ranges).map((pieces) => {
        const staging = take(
          pieces.reduce((end, piece) => Math.max(end, piece.at + piece.to - piece.from), 0),
        );
        const encoder = device.createCommandEncoder();
        for (const piece of pieces) {
          const source = ranges[piece.range]!.buffer;
          encoder.copyBufferToBuffer(source, piece.from, staging, piece.at, piece.to - piece.from);
        }
        device.queue.submit([encoder.finish()]);
        return { pieces, staging };
      });
      await Promise.all(
        batches.map(async ({ pieces, staging }) => {
          const end = pieces.reduce((most, piece) => Math.max(most, piece.at + piece.to - piece.from), 0);
          if (end === 0) return giveBack(staging);
          await staging.mapAsync(GPUMapMode.READ, 0, end);
          const mapped = new Uint8Array(staging.getMappedRange(0, end));
          for (const piece of pieces) {
            const { offset, bytes } = ranges[piece.range]!;
            const from = Math.max(piece.from, offset);
            const to = Math.min(piece.to, offset + bytes);
            const at = piece.at + from - piece.from;
            results[piece.range]!.set(mapped.subarray(at, at + to - from), from - offset);
          }
          staging.unmap();
          giveBack(staging);
        }),
      );
      return results;
    },
    async readThrough(encoder, ranges, visit) {
      const bytes = ranges.reduce((sum, range) => sum + range.bytes, 0);
      const staging = take(bytes);
      let at = 0;
      for (const { buffer, offset, bytes: length } of ranges) {
        encoder.copyBufferToBuffer(buffer, offset, staging, at, length);
        at += length;
      }
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ, 0, bytes);
      try {
        visit(new Uint8Array(staging.getMappedRange(0, bytes)));
      } finally {
        staging.unmap();
        giveBack(staging);
      }
    },
    destroy() {
      for (const buffer of all) buffer.destroy();
      all.clear();
      idle.clear();
    },
  };
}

/** Cuts ranges into pieces of whole words and fills staging buffers of at most `LARGEST` bytes in order. */
function pack(ranges: readonly StagingRange[]): Piece[][] {
  const batches: Piece[][] = [];
  let batch: Piece[] = [];
  let at = 0;
  ranges.forEach(({ offset, bytes }, range) => {
    const end = Math.ceil((offset + bytes) / 4) * 4;
    for (let from = Math.floor(offset / 4) * 4; from < end && bytes > 0;) {
      if (at >= LARGEST) {
        batches.push(batch);
        batch = [];
        at = 0;
      }
      const to = Math.min(end, from + LARGEST - at);
      batch.push({ range, from, to, at });
      at += to - from;
      from = to;
    }
  });
  if (batch.length > 0) batches.push(batch);
  return batches;
}
