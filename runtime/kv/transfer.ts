/** Reads and writes that go on after a short count, and say how far they came. */
import type { TierFile } from './tier-files.js';

export interface Transferred {
  /** From the start of the buffers on. */
  readonly bytes: number;
  /** What ended the transfer early. A read that comes to the end of the file has none. */
  readonly error?: unknown;
}

/** Writes all buffers from `position` on. Never rejects. */
export function writeFully(
  file: TierFile,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<Transferred> {
  return transfer(buffers, async (rest, done) => {
    const count = await file.write(rest, position + done);
    if (count === 0) throw new Error('nothing more can be written');
    return count;
  });
}

/** Fills all buffers from `position` on, or as many as the file has bytes for. Never rejects. */
export function readFully(
  file: TierFile,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<Transferred> {
  return transfer(buffers, (rest, done) => file.read(rest, position + done));
}

async function transfer(
  buffers: readonly Uint8Array[],
  step: (rest: readonly Uint8Array[], done: number) => Promise<number>,
): Promise<Transferred> {
  let rest = buffers;
  let bytes = 0;
  try {
    while (rest.length > 0) {
      const count = await step(rest, bytes);
      if (count === 0) break;
      bytes += count;
      rest = after(rest, count);
    }
    return { bytes };
  } catch (error) {
    return { bytes, error };
  }
}

/** What is left of buffers after their first `count` bytes. */
function after(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let skip = count;
  let first = 0;
  while (first < buffers.length && skip >= buffers[first]!.byteLength) skip -= buffers[first++]!.byteLength;
  if (first === buffers.length) return [];
  return skip === 0 ? buffers.slice(first) : [buffers[first]!.subarray(skip), ...buffers.slice(first + 1)];
}
