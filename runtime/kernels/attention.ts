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
 * - tile: a subgroup has the rows of a tile, lanes are rows. Keys and values of a block are loaded once, lanes as
 *   keys, and handed round with `subgroupBroadcast`; scores, softmax and sums stay within a lane.
 * - decode: one row; a subgroup has the query heads of a kv head (at most 8 at a time). Lanes are keys while scores
 *   are made and parts of head_dim while values are summed.
 * - plain, without subgroups: a thread has one row of one head.
 */
import { activationStride } from '../../compiler/ir/device-layout.js';
import type { DType } from '../../compiler/model/shape.js';
import type { DeviceLimits } from '../device/device.js';
import { ATTENTION_TILE_ROWS } from './kernel.js';
import type { KernelRequest, KernelVariant } from './kernel.js';
import {
  LOWEST,
  ceilDiv,
  defineKernel,
  pair,
  param,
  plainType,
  quad,
  read,
  readWrite,
  subgroupSize,
  tanhOf,
} from './wgsl.js';
import type { Binding, Constant } from './wgsl.js';

/** Keys handled between two scalings by the tile kernel, at most a subgroup; fewer where heads are long, for size. */
const KEY_BLOCK = { short: 8, long: 4 };
/** Vectors of a head beyond which it is long. */
const LONG_HEAD = 8;
/** Query heads a subgroup of the decode kernel handles. */
const DECODE_HEADS = 8;

interface Attention {
  /** Query heads of the rank. */
  readonly heads: number;
  /** Neighbouring query heads that one kv head serves; all of them unless a share of the heads cuts through. */
  readonly bundle: number;
  /** Expression of the kv head that query head `head` of the rank reads, the first of bundle `bundle`. */
  readonly kvHeadOf: (bundle: string, head: string) => string;
  /** Expression of the place of query head `head` of the rank in a row of qkv. */
  readonly placeOf: (head: string) => string;
  readonly headDim: number;
  readonly dtype: DType;
  /** Elements per vector: 4, or 2 where head_dim is not a multiple of 4. */
  readonly vector: 2 | 4;
  /** Vectors per head. */
  readonly parts: number;
  readonly windowed: boolean;
  /** What tells the texts of different attentions apart, for names. */
  readonly features: string;
  readonly immediates: readonly string[];
  readonly constants: readonly Constant[];
  readonly bindings: readonly Binding[];
  readonly declarations: string;
  /** Expression of the score of a product of query and key. */
  readonly score: (product: string) => string;
}

/**
 * (step.tiles, step.table, qkv, kv, out); immediates (tiles, layer in group), and with `params.rowHeads` or
 * `params.pageHeads` the first query head of the rank. `params.tileRows` is 1 or 16.
 */
export function attention(request: KernelRequest, limits: DeviceLimits): readonly KernelVariant[] {
  const op = describe(request);
  const lanes = subgroupSize(limits);
  const tileRows = request.params['tileRows'] ?? ATTENTION_TILE_ROWS;
  if (lanes === 0) return [plainKernel(op, tileRows)];
  return [tileRows === 1 ? decodeKernel(op, lanes) : tileKernel(op, lanes)];
}

function describe({ params, dtype: requested }: KernelRequest): Attention {
  const dtype = plainType(requested);
  const heads = param(params, 'heads');
  const kvHeads = param(params, 'kvHeads');
  const headDim = param(params, 'headDim');
  const vector = headDim % 4 === 0 ? 4 : 2;
  const parts = headDim / vector;
  const pages = vector === 4 ? quad(dtype) : pair(dtype);
  const { window, softcap, rowHeads, pageHeads } = params;
  const perKvHead = (pageHeads ?? heads) / kvHeads;
  return {
    heads,
    bundle: pageHeads === undefined ? perKvHead : gcd(heads, perKvHead),
    kvHeadOf: (bundle, head) =>
      pageHeads === undefined ? bundle : `(im.firstHead + ${head}) / im.perKvHead`,
    placeOf: (head) => (rowHeads === undefined ? head : `(im.firstHead + ${head})`),
    headDim,
    dtype,
    vector,
    parts,
    windowed: window !== undefined,
    features: (['window', 'softcap', 'rowHeads', 'pageHeads'] as const)
      .map((name) => (params[name] === undefined ? '' : `.${name}`))
      .join(''),
    immediates: [
      'tiles',
      'layer',
      ...(rowHeads === undefined && pageHeads === undefined ? [] : ['firstHead']),
    ],
    declarations: `${pages.declarations}
fn load(at: u32) -> vec${vector}f { return unpack${vector}(kv[at]); }${softcap === undefined ? '' : `\n${tanhOf('f32')}`}`,
    score: (product) =>
      softcap === undefined
        ? `${product} * im.scale`
        : `im.softcap * tanhOf(${product} * im.scale / im.softcap)`,
    bindings: [
      read('tiles', 'vec4u'),
      read('table', 'u32'),
      read('qkv', `vec${vector}f`),
      read('kv', pages.type),
      readWrite('out', `vec${vector}f`),
    ],
    constants: [
      ['heads', 'u32', heads],
      // Not in the text: a loop of known length would be unrolled, and compiled for seconds.
      ['parts', 'u32', parts],
      ['kvHeads', 'u32', kvHeads],
      ['pageTokens', 'u32', param(params, 'pageTokens')],
      ['groupLayers', 'u32', param(params, 'groupLayers')],
      ['inStride', 'u32', activationStride(((rowHeads ?? heads) + 2 * kvHeads) * headDim) / vector],
      ['outStride', 'u32', activationStride(heads * headDim) / vector],
      ['scale', 'f32', param(params, 'scale')],
      ...(pageHeads === undefined ? [] : ([['perKvHead', 'u32', perKvHead]] as const)),
      ...(window === undefined ? [] : ([['window', 'u32', window]] as const)),
      ...(softcap === undefined ? [] : ([['softcap', 'f32', softcap]] as const)),
    ],
  };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function list(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join('\n');
}

/** Vectors from the start of the group's buffer to the keys of token 0 of a page. */
function pageStart(parts: number): string {
  return `((table[tile.w + page] * im.groupLayers + im.layer) * im.kvHeads + kvHead) * im.pageTokens * ${2 * parts}u`;
}

/** First position that a row at `position` sees. */
function firstSeen(position: string): string {
  return `max(${position} + 1u, im.window) - im.window`;
}

/** Where a walk over the pages starts: at 0, or at the page of the first position that `position` sees. */
function walkStart(op: Attention, position: string): string {
  if (!op.windowed)
    return `
  var start = 0u;
  for (var page = 0u; start <= last; page++) {`.trim();
  return `
  let oldest = ${firstSeen(position)};
  var start = oldest - oldest % im.pageTokens;
  for (var page = oldest / im.pageTokens; start <= last; page++) {`.trim();
}

/** The columns that pad a row of out to a multiple of four are zero; there are some only in vectors of two. */
function zeroPadding(op: Attention, row: string, condition: string): string {
  if (op.vector === 4) return '';
  return `
  if (${condition}) {
    for (var i = im.heads * ${op.parts}u; i < im.outStride; i++) { out[${row} * im.outStride + i] = vec2f(); }
  }`;
}

function tileKernel(op: Attention, lanes: number): KernelVariant {
  const { parts, vector } = op;
  const { bundle } = op;
  const tile = ATTENTION_TILE_ROWS;
  // Fewer lanes than rows: a lane has several rows. More: lanes beyond the rows have further heads of the kv head.
  const sets = ceilDiv(tile, lanes);
  const width = Math.min(bundle, Math.max(1, lanes / tile));
  const groups = ceilDiv(bundle, width);
  const block = Math.min(parts > LONG_HEAD ? KEY_BLOCK.long : KEY_BLOCK.short, lanes);
  const each = (line: (set: number) => string): string => list(sets, line);
  const eachKey = (line: (key: number) => string): string => list(block, line);
  const sees = (s: number, j: number): string =>
    `t + ${j}u < seen${s}${op.windowed ? ` && t + ${j}u >= unseen${s}` : ''}`;
  const greatest = (s: number): string =>
    Array.from({ length: block }, (_, j) => `s${s}_${j}`).reduce(
      (rest, score) => `max(${rest}, ${score})`,
      `m${s}`,
    );
  return defineKernel({
    name: `attention.tile${op.features}.${op.dtype}.dim${op.headDim}.ratio${bundle}.lanes${lanes}`,
    bindings: op.bindings,
    immediates: op.immediates,
    constants: op.constants,
    declarations: op.declarations,
    subgroups: true,
    builtins: '@builtin(subgroup_invocation_id) lane: u32',
    workgroup: [lanes, 1, 1],
    grid: (tiles) => [tiles, (op.heads / bundle) * groups, 1],
    body: `
  if (wg.x >= im.tiles) { return; }
  let tile = tiles[wg.x];
  if (tile.y == 0u) { return; }
  let bundle = wg.y / ${groups}u;
  let kvHead = ${op.kvHeadOf('bundle', `bundle * ${bundle}u`)};
  let endHead = (bundle + 1u) * ${bundle}u;
  let wanted = bundle * ${bundle}u + (wg.y % ${groups}u) * ${width}u + lane / ${tile}u;
  let head = min(wanted, endHead - 1u);
  let last = tile.z + tile.y - 1u;
${each(
  (s) => `  let own${s} = (lane + ${s * lanes}u) % ${tile}u;
  let row${s} = min(own${s}, tile.y - 1u);
  let q${s} = (tile.x + row${s}) * im.inStride + ${op.placeOf('head')} * ${parts}u;
  var m${s} = ${LOWEST};
  var l${s} = 0f;
${list(parts, (i) => `  var o${s}_${i} = vec${vector}f();`)}`,
)}
  ${walkStart(op, 'tile.z')}
    let base = ${pageStart(parts)};
    let count = min(im.pageTokens, last + 1u - start);
    for (var t = 0u; t < count; t += ${block}u) {
      let key = base + min(t + lane % ${block}u, count - 1u) * ${2 * parts}u;
${each((s) => eachKey((j) => `      var s${s}_${j} = 0f;`))}
      for (var i = 0u; i < im.parts; i++) {
        let k = load(key + i);
${each((s) => `        let x${s} = qkv[q${s} + i];`)}
${eachKey(
  (j) => `        let k${j} = subgroupBroadcast(k, ${j}u);
${each((s) => `        s${s}_${j} += dot(x${s}, k${j});`)}`,
)}
      }
${each(
  (s) => `      // Keys this row may see: those of the block and the page up to its own position.
      let seen${s} = min(count, max(tile.z + row${s} + 1u, start) - start);${
        op.windowed
          ? `
      let unseen${s} = max(${firstSeen(`tile.z + row${s}`)}, start) - start;`
          : ''
      }
${eachKey((j) => `      s${s}_${j} = select(${LOWEST}, ${op.score(`s${s}_${j}`)}, ${sees(s, j)});`)}
      let next${s} = ${greatest(s)};
      let shrink${s} = exp(m${s} - next${s});
      m${s} = next${s};
      l${s} *= shrink${s};
${eachKey(
  (j) => `      let p${s}_${j} = select(0f, exp(s${s}_${j} - next${s}), ${sees(s, j)});
      l${s} += p${s}_${j};`,
)}`,
)}
${list(
  parts,
  (i) => `      {
        let v = load(key + ${parts + i}u);
${each((s) => `        var sum${s} = o${s}_${i} * shrink${s};`)}
${eachKey(
  (j) => `        let v${j} = subgroupBroadcast(v, ${j}u);
${each((s) => `        sum${s} += p${s}_${j} * v${j};`)}`,
)}
${each((s) => `        o${s}_${i} = sum${s};`)}
      }`,
)}
    }
    start += im.pageTokens;
  }
${each(
  (s) => `  if (own${s} < tile.y && wanted < endHead && lane / ${tile}u < ${width}u) {
    let at = (tile.x + own${s}) * im.outStride + head * ${parts}u;
${list(parts, (i) => `    out[at + ${i}u] = o${s}_${i} / l${s};`)}${zeroPadding(op, `(tile.x + own${s})`, 'head == im.heads - 1u')}
  }`,
)}`,
  });
}

function decodeKernel(op: Attention, lanes: number): KernelVariant {
  const { parts, vector } = op;
  const { bundle } = op;
  const width = Math.min(bundle, DECODE_HEADS);
  const groups = ceilDiv(bundle, width);
  const slices = ceilDiv(parts, lanes);
  const each = (line: (g: number) => string): string => list(width, line);
  const eachSlice = (line: (c: number) => string): string => list(slices, line);
  return defineKernel({
    name: `attention.decode${op.features}.${op.dtype}.dim${op.headDim}.ratio${bundle}.lanes${lanes}`,
    bindings: op.bindings,
    immediates: op.immediates,
    constants: op.constants,
    declarations: op.declarations,
    subgroups: true,
    builtins: '@builtin(subgroup_invocation_id) lane: u32',
    workgroup: [lanes, 1, 1],
    grid: (tiles) => [tiles, (op.heads / bundle) * groups, 1],
    body: `
  if (wg.x >= im.tiles) { return; }
  let tile = tiles[wg.x];
  if (tile.y == 0u) { return; }
  let bundle = wg.y / ${groups}u;
  let kvHead = ${op.kvHeadOf('bundle', `bundle * ${bundle}u`)};
  let firstHead = bundle * ${bundle}u + (wg.y % ${groups}u) * ${width}u;
  let endHead = (bundle + 1u) * ${bundle}u;
  let last = tile.z;
  // Lanes beyond the parts of head_dim do the last one again, unused.
${eachSlice((c) => `  let part${c} = min(lane + ${c * lanes}u, ${parts - 1}u);`)}
${each(
  (g) => `  let head${g} = min(firstHead + ${g}u, endHead - 1u);
  let q${g} = tile.x * im.inStride + ${op.placeOf(`head${g}`)} * ${parts}u;
  var m${g} = ${LOWEST};
  var l${g} = 0f;
${eachSlice((c) => `  var o${g}_${c} = vec${vector}f();`)}`,
)}
  ${walkStart(op, 'tile.z')}
    let base = ${pageStart(parts)};
    let count = min(im.pageTokens, last + 1u - start);
    for (var t = 0u; t < count; t += ${lanes}u) {
      let seen = t + lane < count${op.windowed ? ' && start + t + lane >= oldest' : ''};
      let key = base + min(t + lane, count - 1u) * ${2 * parts}u;
${each((g) => `      var s${g} = 0f;`)}
      for (var i = 0u; i < im.parts; i++) {
        let k = load(key + i);
${each((g) => `        s${g} += dot(qkv[q${g} + i], k);`)}
      }
${each(
  (g) => `      s${g} = select(${LOWEST}, ${op.score(`s${g}`)}, seen);
      let next${g} = max(m${g}, subgroupMax(s${g}));
      let shrink${g} = exp(m${g} - next${g});
      m${g} = next${g};
      let p${g} = select(0f, exp(s${g} - next${g}), seen);
      l${g} = l${g} * shrink${g} + p${g};
${eachSlice((c) => `      o${g}_${c} *= shrink${g};`)}`,
)}
      let here = min(count - t, ${lanes}u);
      for (var j = 0u; j < here; j++) {
        let value = base + (t + j) * ${2 * parts}u + ${parts}u;
${eachSlice((c) => `        let v${c} = load(value + part${c});`)}
${each(
  (g) => `        let w${g} = subgroupShuffle(p${g}, j);
${eachSlice((c) => `        o${g}_${c} += w${g} * v${c};`)}`,
)}
      }
    }
    start += im.pageTokens;
  }
  let outStart = tile.x * im.outStride;
${each(
  (g) => `  let total${g} = subgroupAdd(l${g});
${eachSlice(
  (c) => `  if (firstHead + ${g}u < endHead && lane + ${c * lanes}u < ${parts}u) {
    out[outStart + head${g} * ${parts}u + part${c}] = o${g}_${c} / total${g};
  }`,
)}`,
)}${zeroPadding(op, 'tile.x', 'lane == 0u && wg.y == 0u')}`,
  });
}

function plainKernel(op: Attention, tileRows: number): KernelVariant {
  const { parts, vector } = op;
  const { bundle } = op;
  const threads = 64;
  return defineKernel({
    name: `attention.plain${tileRows}${op.features}.${op.dtype}.dim${op.headDim}.ratio${bundle}`,
    bindings: op.bindings,
    immediates: op.immediates,
    constants: op.constants,
    declarations: op.declarations,
    workgroup: [threads, 1, 1],
    grid: (tiles) => [tiles, ceilDiv(op.heads * tileRows, threads), 1],
    body: `
  if (wg.x >= im.tiles) { return; }
  let tile = tiles[wg.x];
  if (tile.y == 0u) { return; }
  let index = wg.y * ${threads}u + local.x;
  let own = index % ${tileRows}u;
  let head = index / ${tileRows}u;
  if (head >= im.heads || own >= tile.y) { return; }
  let kvHead = ${op.kvHeadOf(`head / ${bundle}u`, 'head')};
  let last = tile.z + own;
  let q = (tile.x + own) * im.inStride + ${op.placeOf('head')} * ${parts}u;
  var o: array<vec${vector}f, ${parts}>;
  var m = ${LOWEST};
  var l = 0f;
  ${walkStart(op, 'last')}
    let base = ${pageStart(parts)};
    let count = min(im.pageTokens, last + 1u - start);
    for (var t = ${op.windowed ? 'max(oldest, start) - start' : '0u'}; t < count; t++) {
      let key = base + t * ${2 * parts}u;
      var s = 0f;
      for (var i = 0u; i < im.parts; i++) { s += dot(qkv[q + i], load(key + i)); }
      s = ${op.score('s')};
      let next = max(m, s);
      let shrink = exp(m - next);
      let p = exp(s - next);
      m = next;
      l = l * shrink + p;
      for (var i = 0u; i < im.parts; i++) { o[i] = o[i] * shrink + p * load(key + ${parts}u + i); }
    }
    start += im.pageTokens;
  }
  let at = (tile.x + own) * im.outStride + head * ${parts}u;
  for (var i = 0u; i < im.parts; i++) { out[at + i] = o[i] / l; }${zeroPadding(op, '(tile.x + own)', 'head == im.heads - 1u')}`,
  });
}
