/** `attention` of tiles: a subgroup has the rows of a tile, lanes are rows. */
import {
  bundleOf,
  firstSeen,
  list,
  onSubgroups,
  pageStart,
  TILE,
  walkStart,
  zeroPadding,
} from './attention-op.js';
import type { Attention } from './attention-op.js';
import { ATTENTION_TILE_ROWS } from './kernel.js';
import type { KernelVariant } from './kernel.js';
import { ceilDiv, defineKernel, LOWEST } from './wgsl.js';

/** Keys handled between two scalings, at most a subgroup; fewer where heads are long, for size. */
const KEY_BLOCK = { short: 8, long: 4 };
/** Vectors of a head beyond which it is long. */
const LONG_HEAD = 8;

export function tileKernel(op: Attention, lanes: number): KernelVariant {
  const { parts, vector, bundle } = op;
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
    ...onSubgroups(op, lanes, groups),
    body: `${TILE}
${bundleOf(op, groups)}
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
      // What a row does not see takes no part: where a later token of the tile has values that are no numbers, a product
      // with them would be none either, whatever the weight.
${list(
  parts,
  (i) => `      {
        let v = load(key + ${parts + i}u);
${each((s) => `        var sum${s} = o${s}_${i} * shrink${s};`)}
${eachKey(
  (j) => `        let v${j} = subgroupBroadcast(v, ${j}u);
${each((s) => `        sum${s} += p${s}_${j} * select(vec${vector}f(), v${j}, p${s}_${j} != 0f);`)}`,
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
