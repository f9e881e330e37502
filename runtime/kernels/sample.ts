/**
 * `sample`: reduces the logits a rank holds of each sampled row to what choosing a token needs; the output layout is
 * described in `kernel.ts`. One workgroup per row.
 *
 * Two passes over the columns: the greatest score and logit, then the sums of exponentials. Modes 2 and 3 add an exact
 * selection of the best SAMPLE_CANDIDATES: logits are mapped to integers in the same order, the order statistic is
 * found eight bits at a time with a histogram, ties at it are settled the same way by id, the survivors are
 * collected in any order and ranked against each other.
 *
 * A rank whose columns all lie beyond the vocabulary reports the lowest f32 as score and maximum, zero sums and no
 * candidates.
 */
import { activationStride } from '../../compiler/ir/device-layout.js';
import type { DeviceLimits } from '../device/device.js';
import { SAMPLE_CANDIDATES, SAMPLE_WORDS } from './kernel.js';
import type { KernelRequest, KernelVariant } from './kernel.js';
import { RANDOM_WGSL } from './random.js';
import { LOWEST, defineKernel, param, read, readWrite, subgroupSize } from './wgsl.js';

/** (step.samples, logits, out); immediates (rows, vocabStart); params cols, vocab. */
export function sample({ params }: KernelRequest, limits: DeviceLimits): readonly KernelVariant[] {
  const cols = param(params, 'cols');
  // Wide workgroups are slow where a barrier is a switch of coroutines (8 lanes: a CPU).
  const threads = subgroupSize(limits) >= 16 ? 256 : 64;
  return [
    defineKernel({
      name: `sample.threads${threads}`,
      bindings: [read('samples', 'vec4u'), read('logits', 'f32'), readWrite('out', 'u32')],
      immediates: ['rows', 'vocabStart'],
      constants: [
        ['cols', 'u32', cols],
        ['stride', 'u32', activationStride(cols)],
        ['vocab', 'u32', param(params, 'vocab')],
        // Lengths of loops that are known but had better not be unrolled: drivers take long over barriers.
        ['half', 'u32', threads / 2],
        ['turns', 'u32', 8],
        ['bins', 'u32', 256],
      ],
      workgroup: [threads, 1, 1],
      grid: (rows) => [rows, 1, 1],
      declarations: declarations(threads),
      body: `
  let row = wg.x;
  if (row >= im.rows) { return; }
  let lane = local.x;
  let args = samples[2u * row];
  let invT = bitcast<f32>(samples[2u * row + 1u].x);
  let valid = min(im.cols, max(im.vocab, im.vocabStart) - im.vocabStart);
  let start = row * im.stride;
  let at = row * ${SAMPLE_WORDS}u;
  let noise = rowHash(args.z, args.w);

  var best = ${LOWEST};
  var bestId = 0xffffffffu;
  var greatest = ${LOWEST};
  for (var i = lane; i < valid; i += THREADS) {
    let logit = logits[start + i];
    greatest = max(greatest, logit);
    var score = logit;
    if ((args.y & 1u) == 1u) { score = logit * invT + gumbel(noise, im.vocabStart + i); }
    if (score > best) {
      best = score;
      bestId = im.vocabStart + i;
    }
  }
  scores[lane] = best;
  ids[lane] = bestId;
  maxima[lane] = greatest;
  for (var step = im.half; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (lane < step) {
      let score = scores[lane + step];
      let id = ids[lane + step];
      if (score > scores[lane] || (score == scores[lane] && id < ids[lane])) {
        scores[lane] = score;
        ids[lane] = id;
      }
      maxima[lane] = max(maxima[lane], maxima[lane + step]);
    }
  }
  let top = workgroupUniformLoad(&maxima[0]);
  if (lane == 0u) {
    // Without any comparable logit the first id stands in.
    let id = min(ids[0], im.vocabStart + max(valid, 1u) - 1u);
    out[at] = id;
    out[at + 1u] = bitcast<u32>(scores[0]);
    var plain = ${LOWEST};
    if (valid > 0u) { plain = logits[start + id - im.vocabStart]; }
    out[at + 2u] = bitcast<u32>(plain);
    out[at + 3u] = bitcast<u32>(top);
  }
  workgroupBarrier();

  var tempered = 0f;
  var plain = 0f;
  for (var i = lane; i < valid; i += THREADS) {
    let below = logits[start + i] - top;
    tempered += exp(below * invT);
    plain += exp(below);
  }
  scores[lane] = tempered;
  maxima[lane] = plain;
  for (var step = im.half; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (lane < step) {
      scores[lane] += scores[lane + step];
      maxima[lane] += maxima[lane + step];
    }
  }
  let wanted = select(0u, min(valid, ${SAMPLE_CANDIDATES}u), args.y >= 2u);
  if (lane == 0u) {
    out[at + 4u] = bitcast<u32>(scores[0]);
    out[at + 5u] = bitcast<u32>(maxima[0]);
    out[at + 6u] = wanted;
    out[at + 7u] = 0u;
  }
  if (wanted == 0u) { return; }

  let cut = cutOff(lane, start, valid, wanted);
  if (lane == 0u) { atomicStore(&taken, 0u); }
  workgroupBarrier();
  for (var i = lane; i < valid; i += THREADS) {
    let key = orderedKey(logits[start + i]);
    if (key > cut.x || (key == cut.x && i <= cut.y)) {
      let slot = atomicAdd(&taken, 1u);
      keys[slot] = key;
      places[slot] = i;
    }
  }
  workgroupBarrier();
  for (var i = lane; i < wanted; i += THREADS) {
    var rank = 0u;
    for (var j = 0u; j < wanted; j++) {
      rank += select(0u, 1u, keys[j] > keys[i] || (keys[j] == keys[i] && places[j] < places[i]));
    }
    out[at + 8u + rank] = im.vocabStart + places[i];
    out[at + ${8 + SAMPLE_CANDIDATES}u + rank] = bitcast<u32>(logits[start + places[i]]);
  }`,
    }),
  ];
}

function declarations(threads: number): string {
  return `
const THREADS = ${threads}u;
var<workgroup> scores: array<f32, THREADS>;
var<workgroup> ids: array<u32, THREADS>;
var<workgroup> maxima: array<f32, THREADS>;
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> found: vec3u;
var<workgroup> taken: atomic<u32>;
var<workgroup> keys: array<u32, ${SAMPLE_CANDIDATES}>;
var<workgroup> places: array<u32, ${SAMPLE_CANDIDATES}>;
${RANDOM_WGSL}
// Integers in the order of the floats.
fn orderedKey(value: f32) -> u32 {
  let bits = bitcast<u32>(select(value, 0f, value == 0f));
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
/**
 * The least of the wanted best columns, as (key, greatest column that counts with that key). Four turns of eight
 * bits find the key; only if some columns with that key are left out, four more find the column.
 */
fn cutOff(lane: u32, start: u32, valid: u32, wanted: u32) -> vec2u {
  var key = 0u;
  var prefix = 0u;
  var rest = wanted;
  for (var turn = 0u; turn < im.turns; turn++) {
    let shift = 24u - 8u * (turn & 3u);
    // Bits settled so far.
    let known = select(0xffffffffu << (shift + 8u), 0u, shift == 24u);
    for (var b = lane; b < im.bins; b += THREADS) { atomicStore(&bins[b], 0u); }
    workgroupBarrier();
    for (var i = lane; i < valid; i += THREADS) {
      let columnKey = orderedKey(logits[start + i]);
      // Smaller columns come first, so they count as greater.
      let value = select(columnKey, ~i, turn >= 4u);
      if (((value ^ prefix) & known) == 0u && (turn < 4u || columnKey == key)) {
        atomicAdd(&bins[(value >> shift) & 255u], 1u);
      }
    }
    workgroupBarrier();
    if (lane == 0u) {
      var bin = 255u;
      var left = rest;
      loop {
        let count = atomicLoad(&bins[bin]);
        if (count >= left || bin == 0u) {
          found = vec3u(bin, left, count);
          break;
        }
        left -= count;
        bin--;
      }
    }
    let step = workgroupUniformLoad(&found);
    prefix |= step.x << shift;
    rest = step.y;
    if (turn == 3u) {
      key = prefix;
      if (step.y == step.z) { return vec2u(key, 0xffffffffu); }
      prefix = 0u;
    }
  }
  return vec2u(key, ~prefix);
}`.trim();
}
