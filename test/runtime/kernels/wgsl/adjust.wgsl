requires immediate_address_space;
struct Immediates {
  entries: u32,
  vocabStart: u32,
  cols: u32,
  stride: u32,
  vocab: u32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> entries: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let entry = wg.x * 64u + local.x;
  if (entry >= im.entries) { return; }
  let at = 5u * entry;
  let id = entries[at + 1u];
  let column = id - im.vocabStart;
  if (id >= im.vocab || column >= im.cols) { return; }
  let place = entries[at] * im.stride + column;
  let biased = logits[place] + bitcast<f32>(entries[at + 2u]);
  let repetition = bitcast<f32>(entries[at + 3u]);
  let scaled = select(biased * repetition, biased / repetition, biased > 0f);
  logits[place] = scaled - bitcast<f32>(entries[at + 4u]);
}
