/** `attention` without subgroups: a thread has one row of one head. */
import { pageStart, TILE, walkStart, zeroPadding } from './attention-op.js';
import type { Attention } from './attention-op.js';
import type { KernelVariant } from './kernel.js';
import { ceilDiv, defineKernel, LOWEST } from './wgsl.js';

export function plainKernel(op: Attention, tileRows: number): KernelVariant {
  const { parts, vector, bundle } = op;
  const threads = 64;
  return defineKernel({
    name: `attention.plain${tileRows}${op.features}.${op.dtype}.dim${op.headDim}.ratio${bundle}`,
    ...op.frame,
    workgroup: [threads, 1, 1],
    grid: (tiles) => [tiles, ceilDiv(op.heads * tileRows, threads), 1],
    body: `${TILE}
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
