requires immediate_address_space;
struct Immediates {
  rows: u32,
  vocabStart: u32,
  cols: u32,
  stride: u32,
  vocab: u32,
  words: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> masks: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let column = wg.x * 64u + local.x;
  let id = im.vocabStart + column;
  if (wg.y >= im.rows || column >= im.cols || id >= im.vocab) { return; }
  let at = im.words * wg.y;
  let allowed = (masks[at + 1u + id / 32u] >> (id % 32u)) & 1u;
  if (allowed == 0u) { logits[masks[at] * im.stride + column] = -1e+30f; }
}
