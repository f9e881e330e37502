requires immediate_address_space;
struct Immediates {
  rows: u32,
  vocabStart: u32,
  quads: u32,
  vocabRows: u32,
  tableStride: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
fn word(at: u32) -> u32 { return table[at]; }
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
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let q = wg.x * 64u + local.x;
  let row = wg.y;
  if (q >= im.quads || row >= im.rows) { return; }
  let id = rows[row].x - im.vocabStart;
  var value = vec4f();
  if (id < im.vocabRows) { value = elements(id * im.tableStride, q, scaleOf(id * im.tableStride, q)); }
  out[row * im.quads + q] = value;
}
