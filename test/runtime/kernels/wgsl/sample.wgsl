requires immediate_address_space;
struct Immediates {
  rows: u32,
  vocabStart: u32,
  cols: u32,
  stride: u32,
  vocab: u32,
  half: u32,
  turns: u32,
  bins: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> samples: array<vec4u>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
const THREADS = 64u;
var<workgroup> scores: array<f32, THREADS>;
var<workgroup> ids: array<u32, THREADS>;
var<workgroup> maxima: array<f32, THREADS>;
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> found: vec3u;
var<workgroup> taken: atomic<u32>;
var<workgroup> keys: array<u32, 64>;
var<workgroup> places: array<u32, 64>;
fn pcg(value: u32) -> u32 {
  let state = value * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}
fn rowHash(seed: u32, position: u32) -> u32 { return pcg(pcg(seed) ^ position); }
fn gumbel(row: u32, id: u32) -> f32 {
  let bits = pcg(row ^ pcg(id));
  let v = (f32(bits) + 0.5) * 2.3283064365386963e-10f;
  // -log(1 - v): a series where 1 - v would lose the digits that decide the largest noise.
  let series = v * (1.0 + v * (0.5 + v * (0.33333334f + v * (0.25 + v * (0.2f + v * (0.16666667f + v * 0.14285715f))))));
  let rest = (f32(~bits) + 0.5) * 2.3283064365386963e-10f;
  return -log(select(-log(rest), series, v < 0.1f));
}
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
}
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.x;
  if (row >= im.rows) { return; }
  let lane = local.x;
  let args = samples[2u * row];
  let invT = bitcast<f32>(samples[2u * row + 1u].x);
  let valid = min(im.cols, max(im.vocab, im.vocabStart) - im.vocabStart);
  let start = row * im.stride;
  let at = row * 136u;
  let noise = rowHash(args.z, args.w);

  var best = -3.4028234e38f;
  var bestId = 0xffffffffu;
  var greatest = -3.4028234e38f;
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
    var plain = -3.4028234e38f;
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
  let wanted = select(0u, min(valid, 64u), args.y >= 2u);
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
    out[at + 72u + rank] = bitcast<u32>(logits[start + places[i]]);
  }
}
