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
@group(0) @binding(1) var<storage, read> table: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
fn unpack4(w: vec2u) -> vec4f { return bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); }
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let q = wg.x * 64u + local.x;
  let row = wg.y;
  if (q >= im.quads || row >= im.rows) { return; }
  let id = rows[row].x - im.vocabStart;
  var value = vec4f();
  if (id < im.vocabRows) { value = unpack4(table[id * im.tableStride + q]); }
  out[row * im.quads + q] = value;
}
