requires immediate_address_space;
struct Immediates {
  rows: u32,
  quads: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> samples: array<vec4u>;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let q = wg.x * 64u + local.x;
  let row = wg.y;
  if (q >= im.quads || row >= im.rows) { return; }
  out[row * im.quads + q] = x[samples[2u * row].x * im.quads + q];
}
