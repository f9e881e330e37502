/**
 * The host tier of the KV cache: pages of all layers and heads in the sharding-neutral order
 * `[layer, kv head, token, K|V, head_dim]`. A rank's part of a page is a layer range times a head range; for every
 * layer its heads are one contiguous run, and all of it is one run when the rank holds every head.
 */
import type { Interval } from '../../compiler/ir/transitions.js';

export interface NeutralPage {
  readonly layers: number;
  readonly heads: number;
  /** Bytes of one head of one layer: pageTokens * 2 * head_dim * element size. */
  readonly headBytes: number;
}

export interface HostPages {
  readonly pageBytes: number;
  /** Writes a rank's part of page `page` from packed bytes `[layers, heads, ...]`. */
  put(page: number, layers: Interval, heads: Interval, packed: Uint8Array): void;
  /** Reads a rank's part of page `page` into packed bytes. */
  get(page: number, layers: Interval, heads: Interval, packed: Uint8Array): void;
  /** The page itself, not a copy: `pageBytes` bytes in neutral order. */
  bytes(page: number): Uint8Array;
}

/** Memory is taken in slabs of whole pages up to this size, so that the heap holds few large blocks. */
const SLAB_BYTES = 64 * 1024 * 1024;

/** Memory is taken slab by slab on first use and kept for reuse. */
export function createHostPages(pages: number, shape: NeutralPage): HostPages {
  const pageBytes = shape.layers * shape.heads * shape.headBytes;
  const slabPages = Math.min(pages, Math.max(1, Math.floor(SLAB_BYTES / pageBytes)));
  const slabs = new Map<number, Uint8Array>();
  const bytesOf = (page: number): Uint8Array => {
    if (page < 0 || page >= pages) throw new Error(`host page ${page} of ${pages}`);
    const index = Math.floor(page / slabPages);
    let slab = slabs.get(index);
    if (slab === undefined) {
      slab = new Uint8Array(Math.min(slabPages, pages - index * slabPages) * pageBytes);
      slabs.set(index, slab);
    }
    const at = (page % slabPages) * pageBytes;
    return slab.subarray(at, at + pageBytes);
  };
  const forEachRun = (
    layers: Interval,
    heads: Interval,
    visit: (neutralAt: number, packedAt: number, bytes: number) => void,
  ): void => {
    const run = (heads[1] - heads[0]) * shape.headBytes;
    if (heads[0] === 0 && heads[1] === shape.heads) {
      visit(layers[0] * run, 0, (layers[1] - layers[0]) * run);
      return;
    }
    for (let layer = layers[0]; layer < layers[1]; layer++) {
      visit((layer * shape.heads + heads[0]) * shape.headBytes, (layer - layers[0]) * run, run);
    }
  };
  return {
    pageBytes,
    put(page, layers, heads, packed) {
      const target = bytesOf(page);
      forEachRun(layers, heads, (at, from, bytes) => target.set(packed.subarray(from, from + bytes), at));
    },
    get(page, layers, heads, packed) {
      const source = bytesOf(page);
      forEachRun(layers, heads, (at, to, bytes) => packed.set(source.subarray(at, at + bytes), to));
    },
    bytes: bytesOf,
  };
}
