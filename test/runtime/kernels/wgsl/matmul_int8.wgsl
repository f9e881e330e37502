requires immediate_address_space;
enable subgroups;
struct Immediates {
  rows: u32,
  n: u32,
  outQuads: u32,
  kQuads: u32,
  weightRows: u32,
  weightStride: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<u32>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
fn word(at: u32) -> u32 { return weight[at]; }
fn scaleOf(row: u32, q: u32) -> f32 {
  let first = row + q / 8u * 9u;
  let i = q % 8u;
  return bitcast<f32>(word(first));
}
fn elements(row: u32, q: u32, scale: f32) -> vec4f {
  let first = row + q / 8u * 9u;
  let i = q % 8u;
  let packed = word(first + 1u + i);
  return scale * vec4f(vec4i(vec4u(packed) << vec4u(24, 16, 8, 0)) >> vec4u(24));
}
fn unpack4(w: vec4f) -> vec4f { return w; }
@compute @workgroup_size(8, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row0 = wg.y * 1u;
  if (row0 >= im.rows) { return; }
  let col = (wg.x * 8u + lane) * 4u;
  let lastRow = im.rows - 1u;
  let w0 = min(col + 0u, im.weightRows - 1u) * im.weightStride;
  let w1 = min(col + 1u, im.weightRows - 1u) * im.weightStride;
  let w2 = min(col + 2u, im.weightRows - 1u) * im.weightStride;
  let w3 = min(col + 3u, im.weightRows - 1u) * im.weightStride;
  let j0 = ((0u + lane) % 2u) / 1u;
  let r0 = min(row0 + ((0u + lane) % 2u) % 1u, lastRow) * im.kQuads;
  var s0 = 0f;
  var s1 = 0f;
  var s2 = 0f;
  var s3 = 0f;
  var acc0 = vec4f();
  for (var k = 0u; k < im.kQuads; k += 2u) {
    let k0 = k + j0;
    let a0 = select(vec4f(), a[r0 + min(k0, im.kQuads - 1u)], k0 < im.kQuads);
    if (k % 8u == 0u) { s0 = scaleOf(w0, k); }
    let w0_0 = elements(w0, k + 0u, s0);
    let w1_0 = elements(w0, k + 1u, s0);
    if (k % 8u == 0u) { s1 = scaleOf(w1, k); }
    let w0_1 = elements(w1, k + 0u, s1);
    let w1_1 = elements(w1, k + 1u, s1);
    if (k % 8u == 0u) { s2 = scaleOf(w2, k); }
    let w0_2 = elements(w2, k + 0u, s2);
    let w1_2 = elements(w2, k + 1u, s2);
    if (k % 8u == 0u) { s3 = scaleOf(w3, k); }
    let w0_3 = elements(w3, k + 0u, s3);
    let w1_3 = elements(w3, k + 1u, s3);
    let v0_0 = subgroupBroadcast(a0, 0u);
    acc0 += vec4f(dot(v0_0, w0_0), dot(v0_0, w0_1), dot(v0_0, w0_2), dot(v0_0, w0_3));
    let v1_0 = subgroupBroadcast(a0, 1u);
    acc0 += vec4f(dot(v1_0, w1_0), dot(v1_0, w1_1), dot(v1_0, w1_2), dot(v1_0, w1_3));
  }
  if (col >= im.n) { return; }
  let at = row0 * im.outQuads + col / 4u;
  if (row0 + 0u <= lastRow) { out[at + 0u * im.outQuads] = select(vec4f(), acc0 + unpack4(bias[col / 4u]), vec4u(col, col + 1u, col + 2u, col + 3u) < vec4u(im.n)); }
}
