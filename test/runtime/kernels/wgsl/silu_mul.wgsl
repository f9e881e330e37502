requires immediate_address_space;
struct Immediates {
  rows: u32,
  quads: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> gateUp: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
fn act(v: vec4f) -> vec4f { return v / (vec4f(1) + exp(-v)); }
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let q = wg.x * 64u + local.x;
  let row = wg.y;
  if (q >= im.quads || row >= im.rows) { return; }
  let gate = row * 2u * im.quads + q;
  out[row * im.quads + q] = act(gateUp[gate]) * gateUp[gate + im.quads];
}
