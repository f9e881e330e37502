requires immediate_address_space;
enable subgroups;
struct Immediates {
  tiles: u32,
  layer: u32,
  heads: u32,
  parts: u32,
  kvHeads: u32,
  pageTokens: u32,
  groupLayers: u32,
  inStride: u32,
  outStride: u32,
  scale: f32,
  window: u32,
  softcap: f32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> tiles: array<vec4u>;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(3) var<storage, read> kv: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
fn unpack4(w: vec2u) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn load(at: u32) -> vec4f { return unpack4(kv[at]); }
fn tanhOf(v: f32) -> f32 {
  let a = min(abs(v), f32(15));
  let s = a * a;
  let near = a * (1.0 - s * (0.33333333f - s * (0.13333333f - s * (0.053968254f - s * 0.021869489f))));
  let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
  return sign(v) * select(far, near, a < f32(0.25));
}
@compute @workgroup_size(8, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  if (wg.x >= im.tiles) { return; }
  let tile = tiles[wg.x];
  if (tile.y == 0u) { return; }
  let bundle = wg.y / 1u;
  let kvHead = bundle;
  let firstHead = bundle * 2u + (wg.y % 1u) * 2u;
  let endHead = (bundle + 1u) * 2u;
  let last = tile.z;
  // Lanes beyond the parts of head_dim do the last one again, unused.
  let part0 = min(lane + 0u, 3u);
  let head0 = min(firstHead + 0u, endHead - 1u);
  let q0 = tile.x * im.inStride + head0 * 4u;
  var m0 = -3.4028234e38f;
  var l0 = 0f;
  var o0_0 = vec4f();
  let head1 = min(firstHead + 1u, endHead - 1u);
  let q1 = tile.x * im.inStride + head1 * 4u;
  var m1 = -3.4028234e38f;
  var l1 = 0f;
  var o1_0 = vec4f();
  let oldest = max(tile.z + 1u, im.window) - im.window;
  var start = oldest - oldest % im.pageTokens;
  for (var page = oldest / im.pageTokens; start <= last; page++) {
    let base = ((table[tile.w + page] * im.groupLayers + im.layer) * im.kvHeads + kvHead) * im.pageTokens * 8u;
    let count = min(im.pageTokens, last + 1u - start);
    for (var t = 0u; t < count; t += 8u) {
      let seen = t + lane < count && start + t + lane >= oldest;
      let key = base + min(t + lane, count - 1u) * 8u;
      var s0 = 0f;
      var s1 = 0f;
      for (var i = 0u; i < im.parts; i++) {
        let k = load(key + i);
        s0 += dot(qkv[q0 + i], k);
        s1 += dot(qkv[q1 + i], k);
      }
      s0 = select(-3.4028234e38f, im.softcap * tanhOf(s0 * im.scale / im.softcap), seen);
      let next0 = max(m0, subgroupMax(s0));
      let shrink0 = exp(m0 - next0);
      m0 = next0;
      let p0 = select(0f, exp(s0 - next0), seen);
      l0 = l0 * shrink0 + p0;
      o0_0 *= shrink0;
      s1 = select(-3.4028234e38f, im.softcap * tanhOf(s1 * im.scale / im.softcap), seen);
      let next1 = max(m1, subgroupMax(s1));
      let shrink1 = exp(m1 - next1);
      m1 = next1;
      let p1 = select(0f, exp(s1 - next1), seen);
      l1 = l1 * shrink1 + p1;
      o1_0 *= shrink1;
      let here = min(count - t, 8u);
      for (var j = max(oldest, start + t) - start - t; j < here; j++) {
        let value = base + (t + j) * 8u + 4u;
        let v0 = load(value + part0);
        let w0 = subgroupShuffle(p0, j);
        o0_0 += w0 * v0;
        let w1 = subgroupShuffle(p1, j);
        o1_0 += w1 * v0;
      }
    }
    start += im.pageTokens;
  }
  let outStart = tile.x * im.outStride;
  let total0 = subgroupAdd(l0);
  if (firstHead + 0u < endHead && lane + 0u < 4u) {
    out[outStart + head0 * 4u + part0] = o0_0 / total0;
  }
  let total1 = subgroupAdd(l1);
  if (firstHead + 1u < endHead && lane + 0u < 4u) {
    out[outStart + head1 * 4u + part0] = o1_0 / total1;
  }
}
