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
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> tiles: array<vec4u>;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(3) var<storage, read> kv: array<vec2u>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
fn unpack4(w: vec2u) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn load(at: u32) -> vec4f { return unpack4(kv[at]); }
@compute @workgroup_size(8, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  if (wg.x >= im.tiles) { return; }
  let tile = tiles[wg.x];
  if (tile.y == 0u) { return; }
  let bundle = wg.y / 2u;
  let kvHead = bundle;
  let endHead = (bundle + 1u) * 2u;
  let wanted = bundle * 2u + (wg.y % 2u) * 1u + lane / 16u;
  let head = min(wanted, endHead - 1u);
  let last = tile.z + tile.y - 1u;
  let own0 = (lane + 0u) % 16u;
  let row0 = min(own0, tile.y - 1u);
  let q0 = (tile.x + row0) * im.inStride + head * 4u;
  var m0 = -3.4028234e38f;
  var l0 = 0f;
  var o0_0 = vec4f();
  var o0_1 = vec4f();
  var o0_2 = vec4f();
  var o0_3 = vec4f();
  let own1 = (lane + 8u) % 16u;
  let row1 = min(own1, tile.y - 1u);
  let q1 = (tile.x + row1) * im.inStride + head * 4u;
  var m1 = -3.4028234e38f;
  var l1 = 0f;
  var o1_0 = vec4f();
  var o1_1 = vec4f();
  var o1_2 = vec4f();
  var o1_3 = vec4f();
  var start = 0u;
  for (var page = 0u; start <= last; page++) {
    let base = ((table[tile.w + page] * im.groupLayers + im.layer) * im.kvHeads + kvHead) * im.pageTokens * 8u;
    let count = min(im.pageTokens, last + 1u - start);
    for (var t = 0u; t < count; t += 8u) {
      let key = base + min(t + lane % 8u, count - 1u) * 8u;
      var s0_0 = 0f;
      var s0_1 = 0f;
      var s0_2 = 0f;
      var s0_3 = 0f;
      var s0_4 = 0f;
      var s0_5 = 0f;
      var s0_6 = 0f;
      var s0_7 = 0f;
      var s1_0 = 0f;
      var s1_1 = 0f;
      var s1_2 = 0f;
      var s1_3 = 0f;
      var s1_4 = 0f;
      var s1_5 = 0f;
      var s1_6 = 0f;
      var s1_7 = 0f;
      for (var i = 0u; i < im.parts; i++) {
        let k = load(key + i);
        let x0 = qkv[q0 + i];
        let x1 = qkv[q1 + i];
        let k0 = subgroupBroadcast(k, 0u);
        s0_0 += dot(x0, k0);
        s1_0 += dot(x1, k0);
        let k1 = subgroupBroadcast(k, 1u);
        s0_1 += dot(x0, k1);
        s1_1 += dot(x1, k1);
        let k2 = subgroupBroadcast(k, 2u);
        s0_2 += dot(x0, k2);
        s1_2 += dot(x1, k2);
        let k3 = subgroupBroadcast(k, 3u);
        s0_3 += dot(x0, k3);
        s1_3 += dot(x1, k3);
        let k4 = subgroupBroadcast(k, 4u);
        s0_4 += dot(x0, k4);
        s1_4 += dot(x1, k4);
        let k5 = subgroupBroadcast(k, 5u);
        s0_5 += dot(x0, k5);
        s1_5 += dot(x1, k5);
        let k6 = subgroupBroadcast(k, 6u);
        s0_6 += dot(x0, k6);
        s1_6 += dot(x1, k6);
        let k7 = subgroupBroadcast(k, 7u);
        s0_7 += dot(x0, k7);
        s1_7 += dot(x1, k7);
      }
      // Keys this row may see: those of the block and the page up to its own position.
      let seen0 = min(count, max(tile.z + row0 + 1u, start) - start);
      s0_0 = select(-3.4028234e38f, s0_0 * im.scale, t + 0u < seen0);
      s0_1 = select(-3.4028234e38f, s0_1 * im.scale, t + 1u < seen0);
      s0_2 = select(-3.4028234e38f, s0_2 * im.scale, t + 2u < seen0);
      s0_3 = select(-3.4028234e38f, s0_3 * im.scale, t + 3u < seen0);
      s0_4 = select(-3.4028234e38f, s0_4 * im.scale, t + 4u < seen0);
      s0_5 = select(-3.4028234e38f, s0_5 * im.scale, t + 5u < seen0);
      s0_6 = select(-3.4028234e38f, s0_6 * im.scale, t + 6u < seen0);
      s0_7 = select(-3.4028234e38f, s0_7 * im.scale, t + 7u < seen0);
      let next0 = max(max(max(max(max(max(max(max(m0, s0_0), s0_1), s0_2), s0_3), s0_4), s0_5), s0_6), s0_7);
      let shrink0 = exp(m0 - next0);
      m0 = next0;
      l0 *= shrink0;
      let p0_0 = select(0f, exp(s0_0 - next0), t + 0u < seen0);
      l0 += p0_0;
      let p0_1 = select(0f, exp(s0_1 - next0), t + 1u < seen0);
      l0 += p0_1;
      let p0_2 = select(0f, exp(s0_2 - next0), t + 2u < seen0);
      l0 += p0_2;
      let p0_3 = select(0f, exp(s0_3 - next0), t + 3u < seen0);
      l0 += p0_3;
      let p0_4 = select(0f, exp(s0_4 - next0), t + 4u < seen0);
      l0 += p0_4;
      let p0_5 = select(0f, exp(s0_5 - next0), t + 5u < seen0);
      l0 += p0_5;
      let p0_6 = select(0f, exp(s0_6 - next0), t + 6u < seen0);
      l0 += p0_6;
      let p0_7 = select(0f, exp(s0_7 - next0), t + 7u < seen0);
      l0 += p0_7;
      // Keys this row may see: those of the block and the page up to its own position.
      let seen1 = min(count, max(tile.z + row1 + 1u, start) - start);
      s1_0 = select(-3.4028234e38f, s1_0 * im.scale, t + 0u < seen1);
      s1_1 = select(-3.4028234e38f, s1_1 * im.scale, t + 1u < seen1);
      s1_2 = select(-3.4028234e38f, s1_2 * im.scale, t + 2u < seen1);
      s1_3 = select(-3.4028234e38f, s1_3 * im.scale, t + 3u < seen1);
      s1_4 = select(-3.4028234e38f, s1_4 * im.scale, t + 4u < seen1);
      s1_5 = select(-3.4028234e38f, s1_5 * im.scale, t + 5u < seen1);
      s1_6 = select(-3.4028234e38f, s1_6 * im.scale, t + 6u < seen1);
      s1_7 = select(-3.4028234e38f, s1_7 * im.scale, t + 7u < seen1);
      let next1 = max(max(max(max(max(max(max(max(m1, s1_0), s1_1), s1_2), s1_3), s1_4), s1_5), s1_6), s1_7);
      let shrink1 = exp(m1 - next1);
      m1 = next1;
      l1 *= shrink1;
      let p1_0 = select(0f, exp(s1_0 - next1), t + 0u < seen1);
      l1 += p1_0;
      let p1_1 = select(0f, exp(s1_1 - next1), t + 1u < seen1);
      l1 += p1_1;
      let p1_2 = select(0f, exp(s1_2 - next1), t + 2u < seen1);
      l1 += p1_2;
      let p1_3 = select(0f, exp(s1_3 - next1), t + 3u < seen1);
      l1 += p1_3;
      let p1_4 = select(0f, exp(s1_4 - next1), t + 4u < seen1);
      l1 += p1_4;
      let p1_5 = select(0f, exp(s1_5 - next1), t + 5u < seen1);
      l1 += p1_5;
      let p1_6 = select(0f, exp(s1_6 - next1), t + 6u < seen1);
      l1 += p1_6;
      let p1_7 = select(0f, exp(s1_7 - next1), t + 7u < seen1);
      l1 += p1_7;
      // What a row does not see takes no part: where a later token of the tile has values that are no numbers, a product
      // with them would be none either, whatever the weight.
      {
        let v = load(key + 4u);
        var sum0 = o0_0 * shrink0;
        var sum1 = o1_0 * shrink1;
        let v0 = subgroupBroadcast(v, 0u);
        sum0 += p0_0 * select(vec4f(), v0, p0_0 != 0f);
        sum1 += p1_0 * select(vec4f(), v0, p1_0 != 0f);
        let v1 = subgroupBroadcast(v, 1u);
        sum0 += p0_1 * select(vec4f(), v1, p0_1 != 0f);
        sum1 += p1_1 * select(vec4f(), v1, p1_1 != 0f);
        let v2 = subgroupBroadcast(v, 2u);
        sum0 += p0_2 * select(vec4f(), v2, p0_2 != 0f);
        sum1 += p1_2 * select(vec4f(), v2, p1_2 != 0f);
        let v3 = subgroupBroadcast(v, 3u);
        sum0 += p0_3 * select(vec4f(), v3, p0_3 != 0f);
        sum1 += p1_3 * select(vec4f(), v3, p1_3 != 0f);
        let v4 = subgroupBroadcast(v, 4u);
        sum0 += p0_4 * select(vec4f(), v4, p0_4 != 0f);
        sum1 += p1_4 * select(vec4f(), v4, p1_4 != 0f);
        let v5 = subgroupBroadcast(v, 5u);
        sum0 += p0_5 * select(vec4f(), v5, p0_5 != 0f);
        sum1 += p1_5 * select(vec4f(), v5, p1_5 != 0f);
        let v6 = subgroupBroadcast(v, 6u);
        sum0 += p0_6 * select(vec4f(), v6, p0_6 != 0f);
        sum1 += p1_6 * select(vec4f(), v6, p1_6 != 0f);
        let v7 = subgroupBroadcast(v, 7u);
        sum0 += p0_7 * select(vec4f(), v7, p0_7 != 0f);
        sum1 += p1_7 * select(vec4f(), v7, p1_7 != 0f);
        o0_0 = sum0;
        o1_0 = sum1;
      }
      {
        let v = load(key + 5u);
        var sum0 = o0_1 * shrink0;
        var sum1 = o1_1 * shrink1;
        let v0 = subgroupBroadcast(v, 0u);
        sum0 += p0_0 * select(vec4f(), v0, p0_0 != 0f);
        sum1 += p1_0 * select(vec4f(), v0, p1_0 != 0f);
        let v1 = subgroupBroadcast(v, 1u);
        sum0 += p0_1 * select(vec4f(), v1, p0_1 != 0f);
        sum1 += p1_1 * select(vec4f(), v1, p1_1 != 0f);
        let v2 = subgroupBroadcast(v, 2u);
        sum0 += p0_2 * select(vec4f(), v2, p0_2 != 0f);
        sum1 += p1_2 * select(vec4f(), v2, p1_2 != 0f);
        let v3 = subgroupBroadcast(v, 3u);
        sum0 += p0_3 * select(vec4f(), v3, p0_3 != 0f);
        sum1 += p1_3 * select(vec4f(), v3, p1_3 != 0f);
        let v4 = subgroupBroadcast(v, 4u);
        sum0 += p0_4 * select(vec4f(), v4, p0_4 != 0f);
        sum1 += p1_4 * select(vec4f(), v4, p1_4 != 0f);
        let v5 = subgroupBroadcast(v, 5u);
        sum0 += p0_5 * select(vec4f(), v5, p0_5 != 0f);
        sum1 += p1_5 * select(vec4f(), v5, p1_5 != 0f);
        let v6 = subgroupBroadcast(v, 6u);
        sum0 += p0_6 * select(vec4f(), v6, p0_6 != 0f);
        sum1 += p1_6 * select(vec4f(), v6, p1_6 != 0f);
        let v7 = subgroupBroadcast(v, 7u);
        sum0 += p0_7 * select(vec4f(), v7, p0_7 != 0f);
        sum1 += p1_7 * select(vec4f(), v7, p1_7 != 0f);
        o0_1 = sum0;
        o1_1 = sum1;
      }
      {
        let v = load(key + 6u);
        var sum0 = o0_2 * shrink0;
        var sum1 = o1_2 * shrink1;
        let v0 = subgroupBroadcast(v, 0u);
        sum0 += p0_0 * select(vec4f(), v0, p0_0 != 0f);
        sum1 += p1_0 * select(vec4f(), v0, p1_0 != 0f);
        let v1 = subgroupBroadcast(v, 1u);
        sum0 += p0_1 * select(vec4f(), v1, p0_1 != 0f);
        sum1 += p1_1 * select(vec4f(), v1, p1_1 != 0f);
        let v2 = subgroupBroadcast(v, 2u);
        sum0 += p0_2 * select(vec4f(), v2, p0_2 != 0f);
        sum1 += p1_2 * select(vec4f(), v2, p1_2 != 0f);
        let v3 = subgroupBroadcast(v, 3u);
        sum0 += p0_3 * select(vec4f(), v3, p0_3 != 0f);
        sum1 += p1_3 * select(vec4f(), v3, p1_3 != 0f);
        let v4 = subgroupBroadcast(v, 4u);
        sum0 += p0_4 * select(vec4f(), v4, p0_4 != 0f);
        sum1 += p1_4 * select(vec4f(), v4, p1_4 != 0f);
        let v5 = subgroupBroadcast(v, 5u);
        sum0 += p0_5 * select(vec4f(), v5, p0_5 != 0f);
        sum1 += p1_5 * select(vec4f(), v5, p1_5 != 0f);
        let v6 = subgroupBroadcast(v, 6u);
        sum0 += p0_6 * select(vec4f(), v6, p0_6 != 0f);
        sum1 += p1_6 * select(vec4f(), v6, p1_6 != 0f);
        let v7 = subgroupBroadcast(v, 7u);
        sum0 += p0_7 * select(vec4f(), v7, p0_7 != 0f);
        sum1 += p1_7 * select(vec4f(), v7, p1_7 != 0f);
        o0_2 = sum0;
        o1_2 = sum1;
      }
      {
        let v = load(key + 7u);
        var sum0 = o0_3 * shrink0;
        var sum1 = o1_3 * shrink1;
        let v0 = subgroupBroadcast(v, 0u);
        sum0 += p0_0 * select(vec4f(), v0, p0_0 != 0f);
        sum1 += p1_0 * select(vec4f(), v0, p1_0 != 0f);
        let v1 = subgroupBroadcast(v, 1u);
        sum0 += p0_1 * select(vec4f(), v1, p0_1 != 0f);
        sum1 += p1_1 * select(vec4f(), v1, p1_1 != 0f);
        let v2 = subgroupBroadcast(v, 2u);
        sum0 += p0_2 * select(vec4f(), v2, p0_2 != 0f);
        sum1 += p1_2 * select(vec4f(), v2, p1_2 != 0f);
        let v3 = subgroupBroadcast(v, 3u);
        sum0 += p0_3 * select(vec4f(), v3, p0_3 != 0f);
        sum1 += p1_3 * select(vec4f(), v3, p1_3 != 0f);
        let v4 = subgroupBroadcast(v, 4u);
        sum0 += p0_4 * select(vec4f(), v4, p0_4 != 0f);
        sum1 += p1_4 * select(vec4f(), v4, p1_4 != 0f);
        let v5 = subgroupBroadcast(v, 5u);
        sum0 += p0_5 * select(vec4f(), v5, p0_5 != 0f);
        sum1 += p1_5 * select(vec4f(), v5, p1_5 != 0f);
        let v6 = subgroupBroadcast(v, 6u);
        sum0 += p0_6 * select(vec4f(), v6, p0_6 != 0f);
        sum1 += p1_6 * select(vec4f(), v6, p1_6 != 0f);
        let v7 = subgroupBroadcast(v, 7u);
        sum0 += p0_7 * select(vec4f(), v7, p0_7 != 0f);
        sum1 += p1_7 * select(vec4f(), v7, p1_7 != 0f);
        o0_3 = sum0;
        o1_3 = sum1;
      }
    }
    start += im.pageTokens;
  }
  if (own0 < tile.y && wanted < endHead && lane / 16u < 1u) {
    let at = (tile.x + own0) * im.outStride + head * 4u;
    out[at + 0u] = o0_0 / l0;
    out[at + 1u] = o0_1 / l0;
    out[at + 2u] = o0_2 / l0;
    out[at + 3u] = o0_3 / l0;
  }
  if (own1 < tile.y && wanted < endHead && lane / 16u < 1u) {
    let at = (tile.x + own1) * im.outStride + head * 4u;
    out[at + 0u] = o1_0 / l1;
    out[at + 1u] = o1_1 / l1;
    out[at + 2u] = o1_2 / l1;
    out[at + 3u] = o1_3 / l1;
  }
}
