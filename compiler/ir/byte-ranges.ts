/** Arithmetic of ranges of bytes. */
import type { ByteRange } from './runtime-graph.js';

/** Ranges without what others cover, in order. */
export function without(ranges: readonly ByteRange[], others: readonly ByteRange[]): readonly ByteRange[] {
  let rest = ranges;
  for (const other of others) {
    const parts: ByteRange[] = [];
    for (const range of rest) {
      const end = range.at + range.bytes;
      const otherEnd = other.at + other.bytes;
      if (other.at >= end || otherEnd <= range.at) {
        parts.push(range);
        continue;
      }
      if (other.at > range.at) parts.push({ at: range.at, bytes: other.at - range.at });
      if (otherEnd < end) parts.push({ at: otherEnd, bytes: end - otherEnd });
    }
    rest = parts;
  }
  return rest;
}

/** What ranges cover together: in order, and apart from each other. */
export function union(ranges: readonly ByteRange[]): readonly ByteRange[] {
  if (ranges.length < 2) return ranges;
  const merged: { at: number; bytes: number }[] = [];
  for (const { at, bytes } of [...ranges].sort((a, b) => a.at - b.at)) {
    const last = merged.at(-1);
    if (last && at <= last.at + last.bytes) last.bytes = Math.max(last.bytes, at + bytes - last.at);
    else merged.push({ at, bytes });
  }
  return merged;
}
