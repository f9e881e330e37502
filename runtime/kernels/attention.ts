/**
 * `attention`: causal attention of the rows of a step over paged keys and values, with an online softmax in f32. A
 * tile is up to ATTENTION_TILE_ROWS rows of consecutive positions of one sequence; row i of it sees the positions up
 * to its own. Keys are walked page by page through the sequence's page table.
 *
 * Two kernels. The tile kernel gives each thread one row of one head: keys are read at addresses that all threads
 * share and no thread needs another. The decode kernel has one row and gives a subgroup all query heads of a kv head
 * (at most 8 at a time): lanes are keys while scores are made and parts of head_dim while values are summed.
 *
 * State of the online softmax: m, the greatest score so far; l, the sum of exp(score - m); o, the sum of
 * exp(score - m) * value. A block of keys with greatest score m' first scales l and o by exp(m - max(m, m')).
 */
import { activationStride } from '../../compiler/ir/runtime-graph.js';
import type { DType } from '../../compiler/model/shape.js';
import type { DeviceLimits } from '../device/device.js';
import { ATTENTION_TILE_ROWS } from './kernel.js';
import type { KernelRequest, KernelVariant } from './kernel.js';
import { LOWEST, ceilDiv, defineKernel, pair, param, quad, read, readWrite, subgroupSize } from './wgsl.js';
import type { Binding, Constant } from './wgsl.js';

/** Keys a thread of the tile kernel handles between two scalings. */
const KEY_BLOCK = 4;
/** Heads a workgroup of the tile kernel handles. */
const TILE_HEADS = 2;
/** Query heads a subgroup of the decode kernel handles. */
const DECODE_HEADS = 8;

interface Attention {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly dtype: DType;
  /** Elements per vector: 4, or 2 where head_dim is not a multiple of 4. */
  readonly vector: 2 | 4;
  /** Vectors per head. */
  readonly parts: number;
  readonly constants: readonly Constant[];
  readonly bindings: readonly Binding[];
  readonly declarations: string;
}

/** (step.tiles, step.table, qkv, kv, out); immediates (tiles, layer in group). `params.tileRows` is 1 or 16. */
export function attention(request: KernelRequest, limits: DeviceLimits): readonly KernelVariant[] {
  const op = describe(request);
  const lanes = subgroupSize(limits);
  const decode = request.params['tileRows'] === 1 && lanes > 0;
  return [
    decode ? decodeKernel(op, lanes) : tileKernel(op, request.params['tileRows'] ?? ATTENTION_TILE_ROWS),
  ];
}

function describe({ params, dtype = 'f32' }: KernelRequest): Attention {
  const heads = param(params, 'heads');
  const kvHeads = param(params, 'kvHeads');
  const headDim = param(params, 'headDim');
  const vector = headDim % 4 === 0 ? 4 : 2;
  const parts = headDim / vector;
  const pages = vector === 4 ? quad(dtype) : pair(dtype);
  return {
    heads,
    kvHeads,
    headDim,
    dtype,
    vector,
    parts,
    declarations: `${pages.declarations}
fn load(at: u32) -> vec${vector}f { return unpack${vector}(kv[at]); }`,
    bindings: [
      read('tiles', 'vec4u'),
      read('table', 'u32'),
      read('qkv', `vec${vector}f`),
      read('kv', pages.type),
      readWrite('out', `vec${vector}f`),
    ],
    constants: [
      ['heads', 'u32', heads],
      ['kvHeads', 'u32', kvHeads],
      ['pageTokens', 'u32', param(params, 'pageTokens')],
      ['groupLayers', 'u32', param(params, 'groupLayers')],
      ['inStride', 'u32', activationStride((heads + 2 * kvHeads) * headDim) / vector],
      ['outStride', 'u32', activationStride(heads * headDim) / vector],
      ['scale', 'f32', param(params, 'scale')],
    ],
  };
}

function list(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join('\n');
}

/** Vectors from the start of the group's buffer to the keys of token 0 of a page. */
function pageStart(parts: number): string {
  return `((table[tile.w + page] * im.groupLayers + im.layer) * im.kvHeads + kvHead) * im.pageTokens * ${2 * parts}u`;
}

/** The columns that pad a row of out to a multiple of four are zero; there are some only in vectors of two. */
function zeroPadding(op: Attention, row: string, condition: string): string {
  if (op.vector === 4) return '';
  return `
  if (${condition}) {
    for (var i = im.heads * ${op.parts}u; i < im.outStride; i++) { out[${row} * im.outStride + i] = vec2f(); }
  }`;
}

function tileKernel(op: Attention, tileRows: number): KernelVariant {
  const { parts, vector } = op;
  const ratio = op.heads / op.kvHeads;
  const keys = Array.from({ length: KEY_BLOCK }, (_, b) => b);
  return defineKernel({
    name: `attention.tile${tileRows}.${op.dtype}.dim${op.headDim}.ratio${ratio}`,
    bindings: op.bindings,
    immediates: ['tiles', 'layer'],
    constants: op.constants,
    declarations: op.declarations,
    workgroup: [tileRows, TILE_HEADS, 1],
    grid: (tiles) => [tiles, ceilDiv(op.heads, TILE_HEADS), 1],
    body: `
  if (wg.x >= im.tiles) { return; }
  let tile = tiles[wg.x];
  let head = wg.y * ${TILE_HEADS}u + local.y;
  if (head >= im.heads || local.x >= tile.y) { return; }
  let kvHead = head / ${ratio}u;
  let row = tile.x + local.x;
  let own = tile.z + local.x;
  let last = tile.z + tile.y - 1u;
  let qStart = row * im.inStride + head * ${parts}u;
${list(
  parts,
  (i) => `  let q${i} = qkv[qStart + ${i}u] * im.scale;
  var o${i} = vec${vector}f();`,
)}
  var m = ${LOWEST};
  var l = 0f;
  var start = 0u;
  for (var page = 0u; start <= last; page++) {
    let base = ${pageStart(parts)};
    let count = min(im.pageTokens, last + 1u - start);
    for (var t = 0u; t < count; t += ${KEY_BLOCK}u) {
${keys
  .map(
    (b) => `      let k${b} = base + min(t + ${b}u, count - 1u) * ${2 * parts}u;
      var s${b} = 0f;`,
  )
  .join('\n')}
${list(parts, (i) => keys.map((b) => `      s${b} += dot(q${i}, load(k${b} + ${i}u));`).join('\n'))}
${keys.map((b) => `      let seen${b} = t + ${b}u < count && start + t + ${b}u <= own;`).join('\n')}
      let next = max(m, ${keys.reduce((rest, b) => `max(${rest}, select(${LOWEST}, s${b}, seen${b}))`, LOWEST)});
      let shrink = exp(m - next);
      m = next;
${keys.map((b) => `      let p${b} = select(0f, exp(s${b} - next), seen${b});`).join('\n')}
      l = l * shrink${keys.map((b) => ` + p${b}`).join('')};
${list(parts, (i) => `      o${i} = o${i} * shrink${keys.map((b) => ` + p${b} * load(k${b} + ${parts + i}u)`).join('')};`)}
    }
    start += im.pageTokens;
  }
  let oStart = row * im.outStride + head * ${parts}u;
${list(parts, (i) => `  out[oStart + ${i}u] = o${i} / l;`)}${zeroPadding(op, 'row', 'head == im.heads - 1u')}`,
  });
}

function decodeKernel(op: Attention, lanes: number): KernelVariant {
  const { parts, vector } = op;
  const ratio = op.heads / op.kvHeads;
  const width = Math.min(ratio, DECODE_HEADS);
  const groups = ceilDiv(ratio, width);
  const slices = ceilDiv(parts, lanes);
  const each = (line: (g: number) => string): string => list(width, line);
  const eachPart = (line: (g: number, c: number) => string): string =>
    each((g) => list(slices, (c) => line(g, c)));
  // A lane's part of head_dim in slice c; lanes beyond the last part do the last one again, unused.
  const part = (c: number): string =>
    (c + 1) * lanes <= parts ? `lane + ${c * lanes}u` : `min(lane + ${c * lanes}u, ${parts - 1}u)`;
  const addValue = (key: string, weight: (g: number) => string): string => `
${list(slices, (c) => `        let v${c} = load(base + (${key}) * ${2 * parts}u + ${parts}u + part${c});`)}
${each((g) => `        let w${g} = ${weight(g)};`)}
${eachPart((g, c) => `        o${g}_${c} += w${g} * v${c};`)}`;
  const values =
    lanes <= 8
      ? list(
          lanes,
          (j) => `      {${addValue(`min(t + ${j}u, count - 1u)`, (g) => `subgroupBroadcast(p${g}, ${j}u)`)}
      }`,
        )
      : `      let here = min(count - t, ${lanes}u);
      for (var j = 0u; j < here; j++) {${addValue('t + j', (g) => `subgroupShuffle(p${g}, j)`)}
      }`;
  return defineKernel({
    name: `attention.decode.${op.dtype}.dim${op.headDim}.ratio${ratio}.lanes${lanes}`,
    bindings: op.bindings,
    immediates: ['tiles', 'layer'],
    constants: op.constants,
    declarations: op.declarations,
    subgroups: true,
    builtins: '@builtin(subgroup_invocation_id) lane: u32',
    workgroup: [lanes, 1, 1],
    grid: (tiles) => [tiles, op.kvHeads * groups, 1],
    body: `
  if (wg.x >= im.tiles) { return; }
  let tile = tiles[wg.x];
  let kvHead = wg.y / ${groups}u;
  let firstHead = kvHead * ${ratio}u + (wg.y % ${groups}u) * ${width}u;
  let endHead = (kvHead + 1u) * ${ratio}u;
  let last = tile.z;
${list(slices, (c) => `  let part${c} = ${part(c)};`)}
${each((g) => `  let head${g} = min(firstHead + ${g}u, endHead - 1u);`)}
${eachPart(
  (g, c) => `  let q${g}_${c} = qkv[tile.x * im.inStride + head${g} * ${parts}u + part${c}] * im.scale;
  var o${g}_${c} = vec${vector}f();`,
)}
${each(
  (g) => `  var m${g} = ${LOWEST};
  var l${g} = 0f;`,
)}
  var start = 0u;
  for (var page = 0u; start <= last; page++) {
    let base = ${pageStart(parts)};
    let count = min(im.pageTokens, last + 1u - start);
    for (var t = 0u; t < count; t += ${lanes}u) {
      let seen = t + lane < count;
      let key = base + min(t + lane, count - 1u) * ${2 * parts}u;
${each((g) => `      var s${g} = 0f;`)}
${list(
  parts,
  (i) => `      let k${i} = load(key + ${i}u);
${each((g) => `      s${g} += dot(subgroupBroadcast(q${g}_${Math.floor(i / lanes)}, ${i % lanes}u), k${i});`)}`,
)}
${each(
  (g) => `      let next${g} = max(m${g}, subgroupMax(select(${LOWEST}, s${g}, seen)));
      let shrink${g} = exp(m${g} - next${g});
      m${g} = next${g};
      let p${g} = select(0f, exp(s${g} - next${g}), seen);
      l${g} = l${g} * shrink${g} + p${g};`,
)}
${eachPart((g, c) => `      o${g}_${c} *= shrink${g};`)}
${values}
    }
    start += im.pageTokens;
  }
${each((g) => `  let scale${g} = 1.0 / subgroupAdd(l${g});`)}
  let outStart = tile.x * im.outStride;
${eachPart(
  (g, c) => `  if (firstHead + ${g}u < endHead && lane + ${c * lanes}u < ${parts}u) {
    out[outStart + head${g} * ${parts}u + part${c}] = o${g}_${c} * scale${g};
  }`,
)}${zeroPadding(op, 'tile.x', 'lane == 0u && wg.y == 0u')}`,
  });
}
