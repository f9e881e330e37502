/**
 * `attention`: causal attention of the rows of a step over paged keys and values, with an online softmax in f32. A
 * tile is up to ATTENTION_TILE_ROWS rows of consecutive positions of one sequence; row i of it sees the positions up
 * to its own, or the last `window` of these. Keys are walked page by page through the sequence's page table; pages
 * that lie before every row's window are skipped. A rank may attend with a share of the query heads that a row has, or
 * read a share of the kv heads that pages have; immediate `firstHead` says where its query heads begin among all.
 *
 * State of the online softmax: m, the greatest score so far; l, the sum of exp(score - m); o, the sum of
 * exp(score - m) * value. A block of keys with greatest score m' first scales l and o by exp(m - max(m, m')).
 *
 * Three kernels, all of which keep load instructions few (software drivers take long to compile each):
 * - tile (attention-tile.ts): a subgroup has the rows of a tile, lanes are rows. Keys and values of a block are loaded once, lanes as
 *   keys, and handed round with `subgroupBroadcast`; scores, softmax and sums stay within a lane.
 * - decode (attention-decode.ts): one row; a subgroup has the query heads of a kv head (at most 8 at a time). Lanes are keys while scores
 *   are made and parts of head_dim while values are summed.
 * - plain (attention-plain.ts), without subgroups: a thread has one row of one head.
 */
import type { DeviceLimits } from '../device/device.js';
import { decodeKernel } from './attention-decode.js';
import { describeAttention } from './attention-op.js';
import { plainKernel } from './attention-plain.js';
import { tileKernel } from './attention-tile.js';
import { ATTENTION_TILE_ROWS } from './kernel.js';
import type { KernelRequest, KernelVariant } from './kernel.js';
import { subgroupSize } from './wgsl.js';

/**
 * (step.tiles, step.table, qkv, kv, out); immediates (tiles, layer in group), and with `params.rowHeads` or
 * `params.pageHeads` the first query head of the rank. `params.tileRows` is 1 or 16.
 */
export function attention(request: KernelRequest, limits: DeviceLimits): readonly KernelVariant[] {
  const op = describeAttention(request);
  const lanes = subgroupSize(limits);
  const tileRows = request.params['tileRows'] ?? ATTENTION_TILE_ROWS;
  if (lanes === 0) return [plainKernel(op, tileRows)];
  return [tileRows === 1 ? decodeKernel(op, lanes) : tileKernel(op, lanes)];
}
