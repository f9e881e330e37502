/** An attention as its kernels see it, and the pieces that their texts share. */
import { activationStride } from '../../compiler/ir/device-layout.js';
import type { DType } from '../../compiler/model/shape.js';
import type { KernelRequest } from './kernel.js';
import { pair, param, plainType, quad, read, readWrite, tanhOf } from './wgsl.js';
import type { KernelDescription } from './wgsl.js';

export interface Attention {
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
  /** What the texts of all attention kernels have in common. */
  readonly frame: Pick<KernelDescription, 'bindings' | 'immediates' | 'constants' | 'declarations'>;
  /** Expression of the score of a product of query and key. */
  readonly score: (product: string) => string;
}

export function describeAttention({ params, dtype: requested }: KernelRequest): Attention {
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
    score: (product) =>
      softcap === undefined
        ? `${product} * im.scale`
        : `im.softcap * tanhOf(${product} * im.scale / im.softcap)`,
    frame: {
      immediates: [
        'tiles',
        'layer',
        ...(rowHeads === undefined && pageHeads === undefined ? [] : ['firstHead']),
      ],
      declarations: `${pages.declarations}
fn load(at: u32) -> vec${vector}f { return unpack${vector}(kv[at]); }${softcap === undefined ? '' : `\n${tanhOf('f32')}`}`,
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
    },
  };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Lines of a kernel's text, one per number. */
export function list(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join('\n');
}

/** Begins every kernel: the workgroup's tile, which may be past the last or an empty one. */
export const TILE = `
  if (wg.x >= im.tiles) { return; }
  let tile = tiles[wg.x];
  if (tile.y == 0u) { return; }`;

/** The frame of a kernel whose subgroups each take one of `groups` parts of the query heads of a bundle. */
export function onSubgroups(
  op: Attention,
  lanes: number,
  groups: number,
): Omit<KernelDescription, 'name' | 'body'> {
  return {
    ...op.frame,
    subgroups: true,
    builtins: '@builtin(subgroup_invocation_id) lane: u32',
    workgroup: [lanes, 1, 1],
    grid: (tiles) => [tiles, (op.heads / op.bundle) * groups, 1],
  };
}

/** The bundle of such a subgroup and the kv head that it reads. */
export function bundleOf(op: Attention, groups: number): string {
  return `  let bundle = wg.y / ${groups}u;
  let kvHead = ${op.kvHeadOf('bundle', `bundle * ${op.bundle}u`)};`;
}

/** Vectors from the start of the group's buffer to the keys of token 0 of a page. */
export function pageStart(parts: number): string {
  return `((table[tile.w + page] * im.groupLayers + im.layer) * im.kvHeads + kvHead) * im.pageTokens * ${2 * parts}u`;
}

/** First position that a row at `position` sees. */
export function firstSeen(position: string): string {
  return `max(${position} + 1u, im.window) - im.window`;
}

/** Where a walk over the pages starts: at 0, or at the page of the first position that `position` sees. */
export function walkStart(op: Attention, position: string): string {
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
export function zeroPadding(op: Attention, row: string, condition: string): string {
  if (op.vector === 4) return '';
  return `
  if (${condition}) {
    for (var i = im.heads * ${op.parts}u; i < im.outStride; i++) { out[${row} * im.outStride + i] = vec2f(); }
  }`;
}
