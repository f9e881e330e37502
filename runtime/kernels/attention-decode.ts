/** `attention` of one row: a subgroup has the query heads of a kv head, or some of them. */
import { bundleOf, list, onSubgroups, pageStart, TILE, walkStart, zeroPadding } from './attention-op.js';
import type { Attention } from './attention-op.js';
import type { KernelVariant } from './kernel.js';
import { ceilDiv, defineKernel, LOWEST } from './wgsl.js';

/** Query heads that a subgroup handles. */
const DECODE_HEADS = 8;

export function decodeKernel(op: Attention, lanes: number): KernelVariant {
  const { parts, vector, bundle } = op;
  const width = Math.min(bundle, DECODE_HEADS);
  const groups = ceilDiv(bundle, width);
  const slices = ceilDiv(parts, lanes);
  const each = (line: (g: number) => string): string => list(width, line);
  const eachSlice = (line: (c: number) => string): string => list(slices, line);
  return defineKernel({
    name: `attention.decode${op.features}.${op.dtype}.dim${op.headDim}.ratio${bundle}.lanes${lanes}`,
    ...onSubgroups(op, lanes, groups),
    body: `${TILE}
${bundleOf(op, groups)}
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
      for (var j = ${op.windowed ? 'max(oldest, start + t) - start - t' : '0u'}; j < here; j++) {
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
