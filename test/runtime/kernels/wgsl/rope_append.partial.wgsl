requires immediate_address_space;
struct Immediates {
  rows: u32,
  layer: u32,
  perRow: u32,
  heads: u32,
  kvHeads: u32,
  headDim: u32,
  stride: u32,
  pageTokens: u32,
  groupLayers: u32,
  eps: f32,
  rotary: u32,
  amplitude: f32,
  offset: f32,
}
var<immediate> im: Immediates;
@group(0) @binding(0) var<storage, read> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read> rope: array<f32>;
@group(0) @binding(2) var<storage, read> qNorm: array<f32>;
@group(0) @binding(3) var<storage, read> kNorm: array<f32>;
@group(0) @binding(4) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(5) var<storage, read_write> kv: array<vec2f>;
fn unpack2(w: vec2f) -> vec2f { return w; }
fn pack2(v: vec2f) -> vec2f { return v; }
fn sinCos(angle: f32) -> vec2f {
  let n = round(angle * 0.636619772367581f);
  let r = ((angle - n * 1.5703125f) - n * 4.837512969970703e-4f) - n * 7.54978995489188e-8f;
  let s = r * r;
  let sine = r + r * s * (-1.6666654611e-1f + s * (8.3321608736e-3f - s * 1.9515295891e-4f));
  let cosine = 1.0 - 0.5 * s + s * s * (4.166664568298827e-2f + s * (-1.388731625493765e-3f + s * 2.443315711809948e-5f));
  let quarter = u32(i32(n)) & 3u;
  let swapped = select(vec2f(sine, cosine), vec2f(cosine, sine), (quarter & 1u) == 1u);
  let negate = vec2<bool>(quarter >= 2u, quarter == 1u || quarter == 2u);
  return select(swapped, -swapped, negate);
}
fn turn(first: f32, second: f32, angle: f32) -> vec2f {
  let sc = sinCos(angle) * im.amplitude;
  return vec2f(first * sc.y - second * sc.x, second * sc.y + first * sc.x);
}
fn qValue(at: u32, dim: u32, scale: f32) -> f32 { return qkv[at + dim] * scale * (qNorm[dim] + im.offset); }
fn kValue(at: u32, dim: u32, scale: f32) -> f32 { return qkv[at + dim] * scale * (kNorm[dim] + im.offset); }
fn rotatedK(at: u32, dim: u32, position: f32, scale: f32) -> f32 {
  let half = im.rotary / 2u;
  if (dim >= im.rotary) { return kValue(at, dim, scale); }
  let i = select(dim, dim - half, dim >= half);
  let turned = turn(kValue(at, i, scale), kValue(at, i + half, scale), position * rope[i]);
  return select(turned.x, turned.y, dim >= half);
}
fn item(row: u32, slot: u32, i: u32, scale: f32) {
  let half = im.headDim / 2u;
  let args = rows[row];
  let position = f32(args.y);
  let at = row * im.stride + slot * im.headDim;
  if (slot < im.heads) {
    let pairs = im.rotary / 2u;
    if (i < pairs) {
      let turned = turn(qValue(at, i, scale), qValue(at, i + pairs, scale), position * rope[i]);
      qkv[at + i] = turned.x;
      qkv[at + i + pairs] = turned.y;
    } else {
      qkv[at + 2u * i] = qValue(at, 2u * i, scale);
      qkv[at + 2u * i + 1u] = qValue(at, 2u * i + 1u, scale);
    }
    return;
  }
  let isV = slot >= im.heads + im.kvHeads;
  let head = slot - im.heads - select(0u, im.kvHeads, isV);
  let page = args.z / im.pageTokens;
  let token = args.z % im.pageTokens;
  let pageRow = (((page * im.groupLayers + im.layer) * im.kvHeads + head) * im.pageTokens + token) * 2u;
  if (isV) {
    kv[(pageRow + 1u) * half + i] = pack2(vec2f(qkv[at + 2u * i], qkv[at + 2u * i + 1u]));
  } else {
    kv[pageRow * half + i] =
      pack2(vec2f(rotatedK(at, 2u * i, position, scale), rotatedK(at, 2u * i + 1u, position, scale)));
  }
}
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let index = wg.x * 64u + local.x;
  let row = wg.y;
  if (index >= im.perRow || row >= im.rows) { return; }
  let half = im.headDim / 2u;
  let start = row * im.stride + index * im.headDim;
  var squares = 0f;
  for (var i = 0u; i < im.headDim; i++) { squares += qkv[start + i] * qkv[start + i]; }
  let scale = 1.0 / sqrt(squares / f32(im.headDim) + im.eps);
  for (var i = 0u; i < half; i++) { item(row, index, i, scale); }
}
