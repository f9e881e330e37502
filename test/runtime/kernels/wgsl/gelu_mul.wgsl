requires immediate_address_space;
struct Immediates {
  rows: u32,
  quads: u32,
  cols: u32,
  stride: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> gateUp: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
fn act(v: vec4f) -> vec4f { return v / (vec4f(1) + exp(-1.5957691216f * (v + 0.044715f * v * v * v))); }
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let q = wg.x * 64u + local.x;
  let row = wg.y;
  if (q >= im.quads || row >= im.rows) { return; }
  var gate = vec4f();
  var up = vec4f();
  for (var i = 0u; i < 4u; i++) {
    let col = q * 4u + i;
    if (col < im.cols) {
      gate[i] = gateUp[row * im.stride + col];
      up[i] = gateUp[row * im.stride + im.cols + col];
    }
  }
  out[row * im.quads + q] = act(gate) * up;
}
