/**
 * `rope_append`: rotates q in place and stores rotated k and v into the KV pages, after an optional RMS norm of each q
 * and k head. A row of qkv is `[q heads | k heads | v heads]`; pair i of a head is dimensions i and i + rotary / 2, where
 * rotary is head_dim unless only the first dimensions are rotated.
 *
 * Pages are `[page, layer in group, kv head, token, K|V, head_dim]`; work is cut into items of two elements: a q item
 * is a rotated pair (or two neighbours among the dimensions that are not rotated), a k or v item is two neighbours of a
 * page row (a whole word in 16-bit pages).
 *
 * Angles grow to the length of the context, where WGSL promises nothing about `sin` and `cos`; so the angle is
 * reduced to [-pi/4, pi/4] in three exact parts of pi/2 and the functions are polynomials.
 */
import { activationStride } from '../../compiler/ir/device-layout.js';
import type { KernelRequest, KernelVariant } from './kernel.js';
import { ceilDiv, defineKernel, pair, param, plainType, read, readWrite } from './wgsl.js';

const THREADS = 64;

const SIN_COS = `
fn sinCos(angle: f32) -> vec2f {
  let n = round(angle * 0.636619772367581f);
  let r = ((angle - n * 1.5703125f) - n * 4.837512969970703e-4f) - n * 7.54978995489188e-8f;
  let s = r * r;
  let sine = r + r * s * (-1.6666654611e-1f + s * (8.3321608736e-3f - s * 1.9515295891e-4f));
  let cosine = 1.0 - 0.5 * s + s * s * (4.166664568298827e-2f + s * (-1.388731625493765e-3f + s * 2.443315711809948e-5f));
  let quarter = u32(i32(n)) & 3u;
  let swapped = select(vec2f(sine, cosine), vec2f(cosine, sine), (quarter & 1u) == 1u);
  let negate = vec2<bool>(quarter >= 2u, quarter == 1u || quarter == 2u);
  return select(swapped, -swapped, negate);
}
`;

function turn(scaled: boolean): string {
  return `
fn turn(first: f32, second: f32, angle: f32) -> vec2f {
  let sc = sinCos(angle)${scaled ? ' * im.amplitude' : ''};
  return vec2f(first * sc.y - second * sc.x, second * sc.y + first * sc.x);
}`.trim();
}

/** (step.rows, rope, qNorm?, kNorm?, qkv, kv); immediates (rows, layer in group). */
export function ropeAppend({ params, dtype: requested }: KernelRequest): readonly KernelVariant[] {
  const dtype = plainType(requested);
  const heads = param(params, 'heads');
  const kvHeads = param(params, 'kvHeads');
  const headDim = param(params, 'headDim');
  const normed = params['qkNorm'] === 1;
  const { rotary, amplitude, offset } = params;
  const partial = rotary !== undefined && rotary !== headDim;
  const features = [
    ...(normed ? ['.norm'] : []),
    ...(offset === undefined ? [] : ['.offset']),
    ...(partial ? ['.partial'] : []),
    ...(amplitude === undefined ? [] : ['.amplitude']),
  ];
  const pages = pair(dtype);
  const slots = heads + 2 * kvHeads;
  // Norms need a whole head: then a thread walks all items of one head, else it has one item.
  const perRow = normed ? slots : slots * (headDim / 2);
  return [
    defineKernel({
      name: `rope_append.${dtype}${features.join('')}`,
      bindings: [
        read('rows', 'vec4u'),
        read('rope', 'f32'),
        ...(normed ? [read('qNorm', 'f32'), read('kNorm', 'f32')] : []),
        readWrite('qkv', 'f32'),
        readWrite('kv', pages.type),
      ],
      immediates: ['rows', 'layer'],
      constants: [
        ['perRow', 'u32', perRow],
        ['heads', 'u32', heads],
        ['kvHeads', 'u32', kvHeads],
        ['headDim', 'u32', headDim],
        ['stride', 'u32', activationStride(slots * headDim)],
        ['pageTokens', 'u32', param(params, 'pageTokens')],
        ['groupLayers', 'u32', param(params, 'groupLayers')],
        ['eps', 'f32', normed ? param(params, 'eps') : 0],
        ...(partial ? ([['rotary', 'u32', rotary]] as const) : []),
        ...(amplitude === undefined ? [] : ([['amplitude', 'f32', amplitude]] as const)),
        ...(offset === undefined ? [] : ([['offset', 'f32', offset]] as const)),
      ],
      workgroup: [THREADS, 1, 1],
      grid: (rows) => [ceilDiv(perRow, THREADS), rows, 1],
      declarations: `${pages.declarations}
${SIN_COS.trim()}
${turn(amplitude !== undefined)}
${normed ? normedValues(offset !== undefined) : PLAIN_VALUES}
${item(partial)}`,
      body: `
  let index = wg.x * ${THREADS}u + local.x;
  let row = wg.y;
  if (index >= im.perRow || row >= im.rows) { return; }
  let half = im.headDim / 2u;
${
  normed
    ? `  let start = row * im.stride + index * im.headDim;
  var squares = 0f;
  for (var i = 0u; i < im.headDim; i++) { squares += qkv[start + i] * qkv[start + i]; }
  let scale = 1.0 / sqrt(squares / f32(im.headDim) + im.eps);
  for (var i = 0u; i < half; i++) { item(row, index, i, scale); }`
    : '  item(row, index / half, index % half, 1.0);'
}`,
    }),
  ];
}

const PLAIN_VALUES = `
fn qValue(at: u32, dim: u32, scale: f32) -> f32 { return qkv[at + dim]; }
fn kValue(at: u32, dim: u32, scale: f32) -> f32 { return qkv[at + dim]; }`.trim();

function normedValues(offset: boolean): string {
  const gain = (norm: string): string => (offset ? `(${norm}[dim] + im.offset)` : `${norm}[dim]`);
  return `
fn qValue(at: u32, dim: u32, scale: f32) -> f32 { return qkv[at + dim] * scale * ${gain('qNorm')}; }
fn kValue(at: u32, dim: u32, scale: f32) -> f32 { return qkv[at + dim] * scale * ${gain('kNorm')}; }`.trim();
}

function item(partial: boolean): string {
  return `
fn rotatedK(at: u32, dim: u32, position: f32, scale: f32) -> f32 {
  let half = ${partial ? 'im.rotary / 2u;\n  if (dim >= im.rotary) { return kValue(at, dim, scale); }' : 'im.headDim / 2u;'}
  let i = select(dim, dim - half, dim >= half);
  let turned = turn(kValue(at, i, scale), kValue(at, i + half, scale), position * rope[i]);
  return select(turned.x, turned.y, dim >= half);
}
fn item(row: u32, slot: u32, i: u32, scale: f32) {
  let half = im.headDim / 2u;
  let args = rows[row];
  let position = f32(args.y);
  let at = row * im.stride + slot * im.headDim;
  if (slot < im.heads) {
${partial ? PARTIAL_Q : WHOLE_Q}
    return;
  }
  let isV = slot >= im.heads + im.kvHeads;
  let head = slot - im.heads - select(0u, im.kvHeads, isV);
  let page = args.z / im.pageTokens;
  let token = args.z % im.pageTokens;
  let pageRow = (((page * im.groupLayers + im.layer) * im.kvHeads + head) * im.pageTokens + token) * 2u;
  if (isV) {
    kv[(pageRow + 1u) * half + i] = pack2(vec2f(qkv[at + 2u * i], qkv[at + 2u * i + 1u]));
  } else {
    kv[pageRow * half + i] =
      pack2(vec2f(rotatedK(at, 2u * i, position, scale), rotatedK(at, 2u * i + 1u, position, scale)));
  }
}`.trim();
}

const WHOLE_Q = `
    let turned = turn(qValue(at, i, scale), qValue(at, i + half, scale), position * rope[i]);
    qkv[at + i] = turned.x;
    qkv[at + i + half] = turned.y;`.slice(1);

/** Items beyond the rotated pairs are neighbours: dimension 2i is at or beyond `rotary` from i = rotary / 2 on. */
const PARTIAL_Q = `
    let pairs = im.rotary / 2u;
    if (i < pairs) {
      let turned = turn(qValue(at, i, scale), qValue(at, i + pairs, scale), position * rope[i]);
      qkv[at + i] = turned.x;
      qkv[at + i + pairs] = turned.y;
    } else {
      qkv[at + 2u * i] = qValue(at, 2u * i, scale);
      qkv[at + 2u * i + 1u] = qValue(at, 2u * i + 1u, scale);
    }`.slice(1);
