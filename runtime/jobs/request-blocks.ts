/** Gathers lines into blocks: what is encoded, ordered and submitted together. */
import { setTimeout } from 'node:timers/promises';
import type { RequestLine } from './request-lines.js';

export interface BlockOptions {
  /** Lines of a block at most. */
  readonly size: number;
  /** Lines in all at most. */
  readonly limit: number;
  /** Milliseconds after its first line in which a block that is not full must be given; absent, it waits for the rest. */
  readonly patience?: number;
}

/** Blocks of one line or more, in order. Ends with the lines or at the limit. */
export async function* requestBlocks(
  lines: AsyncGenerator<RequestLine>,
  { size, limit, patience }: BlockOptions,
): AsyncGenerator<readonly RequestLine[]> {
  let block: RequestLine[] = [];
  let taken = 0;
  let isLate: Promise<'late'> | undefined;
  while (taken < limit) {
    const next = lines.next();
    if (isLate !== undefined && (await Promise.race([next, isLate])) === 'late') {
      yield block;
      block = [];
      isLate = undefined;
    }
    const { done, value } = await next;
    if (done) break;
    taken++;
    block.push(value);
    if (block.length === size) {
      yield block;
      block = [];
      isLate = undefined;
    } else if (patience !== undefined) isLate ??= setTimeout(patience, 'late' as const);
  }
  if (block.length > 0) yield block;
}
