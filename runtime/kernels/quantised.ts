/**
 * Access to quantised weights in WGSL, for the packings of `compiler/model/weight-types.ts`. A weight is an array of
 * words; `row` is the word that a row begins with, `q` a quad of its elements. The scale is asked for apart, because a
 * kernel that goes along a row needs it once per block.
 */
import { WEIGHT_FORMATS, type QuantisedType } from '../../compiler/model/weight-types.js';

/** Quads that share a scale. */
export function quadsPerScale(type: QuantisedType): number {
  return WEIGHT_FORMATS[type].block / 4;
}

/** WGSL of `scaleOf(row, q) -> f32` and `elements(row, q, scale) -> vec4f` for a binding `array<u32>`. */
export function quantisedAccess(type: QuantisedType, binding: string): string {
  const { block, bytes } = WEIGHT_FORMATS[type];
  const first = `row + q / ${block / 4}u * ${bytes / 4}u`;
  const inBlock = `q % ${block / 4}u`;
  return `
fn scaleOf(row: u32, q: u32) -> f32 { return bitcast<f32>(${binding}[${first}]); }
fn elements(row: u32, q: u32, scale: f32) -> vec4f {
${type === 'int8' ? bytesOf(binding, first, inBlock) : nibblesOf(binding, first, inBlock)}
}`.trim();
}

/** A word has the four bytes of a quad. */
function bytesOf(binding: string, first: string, inBlock: string): string {
  return `  let word = ${binding}[${first} + 1u + ${inBlock}];
  return scale * vec4f(vec4i(vec4u(word) << vec4u(24, 16, 8, 0)) >> vec4u(24));`;
}

/** A word has the nibbles of two quads. */
function nibblesOf(binding: string, first: string, inBlock: string): string {
  return `  let word = ${binding}[${first} + 1u + ${inBlock} / 2u] >> (q % 2u * 16u);
  return scale * (vec4f((vec4u(word) >> vec4u(0, 4, 8, 12)) & vec4u(15)) - 8);`;
}
