requires immediate_address_space;
enable subgroups;
struct Immediates {
  rows: u32,
  quads: u32,
  cols: f32,
  eps: f32,
  offset: f32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
fn unpack4(w: vec2u) -> vec4f { return bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); }
fn sumAll(value: f32, lane: u32) -> f32 { return subgroupAdd(value); }
@compute @workgroup_size(8, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = wg.x;
  if (row >= im.rows) { return; }
  let start = row * im.quads;
  var squares = vec4f();
  for (var q = local.x; q < im.quads; q += 8u) {
    let v = x[start + q];
    squares += v * v;
  }
  let total = sumAll(squares.x + squares.y + squares.z + squares.w, local.x);
  let scale = 1.0 / sqrt(total / im.cols + im.eps);
  for (var q = local.x; q < im.quads; q += 8u) {
    out[start + q] = x[start + q] * scale * (unpack4(weight[q]) + im.offset);
  }
}
