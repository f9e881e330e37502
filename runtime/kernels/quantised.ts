/**
 * Access to quantised weights in WGSL, for the blocks of `compiler/model/weight-types.ts`. A weight is an array of
 * words; `row` is the word that a row begins with, `q` a quad of its elements. The scale is asked for apart, because a
 * kernel that goes along a row needs it once for several quads.
 */
import { WEIGHT_FORMATS, type BlockType } from '../../compiler/model/weight-types.js';

interface BlockAccess {
  /** Quads that share a scale. */
  readonly quadsPerScale: number;
  /** WGSL type of what a quad is scaled with, and its value before any is known. */
  readonly scaleType: 'f32' | 'vec2f';
  /** Functions that the others call; they read words by `word(index)`. */
  readonly helpers: string;
  /** Bodies of functions of `first`, the word that the block begins with, and `i`, the quad in the block. */
  readonly scale: string;
  /** The same, with `scale`. */
  readonly elements: string;
}

/**
 * Of f16 bits, by integers: weights have scales below the least normal f16, which `unpack2x16float` may take for zero.
 */
const HALF = `
fn f16Of(bits: u32) -> f32 {
  let magnitude = bits & 0x7fffu;
  let value = select(bitcast<f32>((magnitude << 13u) + 0x38000000u), f32(magnitude) * 0x1p-24, magnitude < 0x400u);
  return select(value, -value, (bits & 0x8000u) != 0u);
}`;

/** A word at an even byte, and a byte; neither reads a word that it needs no byte of. */
const WORD_AT = `
fn wordAt(first: u32, byte: u32) -> u32 {
  let at = first + (byte >> 2u);
  let odd = (byte >> 1u) & 1u;
  let low = word(at);
  return select(low, (low >> 16u) | (word(at + odd) << 16u), odd == 1u);
}`;
const BYTE_AT = `
fn byteAt(first: u32, byte: u32) -> u32 { return (word(first + (byte >> 2u)) >> ((byte & 3u) * 8u)) & 0xffu; }`;

/** The four signed bytes of `packed`, from the lowest. */
const SIGNED_BYTES = 'vec4f(vec4i(vec4u(packed) << vec4u(24, 16, 8, 0)) >> vec4u(24))';

/** Two blocks of a file: `i` becomes the quad in the second where it lies there. */
const inPair = (quads: number): string => `  let second = i / ${quads}u;
  let j = i % ${quads}u;
`;

const ACCESS: Readonly<Record<BlockType, BlockAccess>> = {
  int8: {
    quadsPerScale: 8,
    scaleType: 'f32',
    helpers: '',
    scale: '  return bitcast<f32>(word(first));',
    elements: `  let packed = word(first + 1u + i);
  return scale * ${SIGNED_BYTES};`,
  },
  int4: {
    quadsPerScale: 8,
    scaleType: 'f32',
    helpers: '',
    scale: '  return bitcast<f32>(word(first));',
    elements: `  let packed = word(first + 1u + i / 2u) >> (i % 2u * 16u);
  return scale * (vec4f((vec4u(packed) >> vec4u(0, 4, 8, 12)) & vec4u(15)) - 8);`,
  },
  q8_0: {
    quadsPerScale: 8,
    scaleType: 'f32',
    helpers: HALF + WORD_AT,
    scale: '  let second = i / 8u;\n  return f16Of((word(first + second * 8u) >> (second * 16u)) & 0xffffu);',
    elements: `${inPair(8)}  let packed = wordAt(first, second * 34u + 2u + j * 4u);
  return scale * ${SIGNED_BYTES};`,
  },
  q4_0: {
    quadsPerScale: 8,
    scaleType: 'f32',
    helpers: HALF + WORD_AT,
    scale: '  let second = i / 8u;\n  return f16Of((word(first + second * 4u) >> (second * 16u)) & 0xffffu);',
    elements: `${inPair(8)}  let packed = wordAt(first, second * 18u + 2u + j % 4u * 4u) >> (j / 4u * 4u);
  return scale * (vec4f((vec4u(packed) >> vec4u(0, 8, 16, 24)) & vec4u(15)) - 8);`,
  },
  q4_k: {
    quadsPerScale: 8,
    scaleType: 'vec2f',
    helpers: HALF + BYTE_AT,
    // The last four scales and minima have their lower bits in bytes 8 to 11, their upper two above the first four's.
    scale: `  let j = i / 8u;
  let supers = word(first);
  let b = first + 1u;
  let late = j >= 4u;
  let low = select(byteAt(b, j), byteAt(b, j + 4u), late);
  let s = select(low & 63u, (low & 15u) | ((byteAt(b, max(j, 4u) - 4u) >> 6u) << 4u), late);
  let t = select(byteAt(b, j + 4u) & 63u, (low >> 4u) | ((byteAt(b, j) >> 6u) << 4u), late);
  return vec2f(f16Of(supers & 0xffffu), f16Of(supers >> 16u)) * vec2f(f32(s), f32(t));`,
    elements: `  let packed = word(first + 4u + i / 16u * 8u + i % 8u) >> (i / 8u % 2u * 4u);
  return scale.x * vec4f((vec4u(packed) >> vec4u(0, 8, 16, 24)) & vec4u(15)) - scale.y;`,
  },
  q6_k: {
    quadsPerScale: 4,
    scaleType: 'f32',
    helpers: HALF + WORD_AT + BYTE_AT,
    scale: `${inPair(64)}  let base = second * 210u;
  let s = i32(byteAt(first, base + 192u + j / 4u) << 24u) >> 24u;
  return f16Of((word(first + (second * 52u + 52u)) >> (second * 16u)) & 0xffffu) * f32(s);`,
    // 128 elements lie in 64 bytes of lower nibbles and 32 of upper bits: quarter by quarter, 32 at a time.
    elements: `${inPair(64)}  let base = second * 210u;
  let half128 = j / 32u;
  let quarter = j / 8u % 4u;
  let byte = j % 8u * 4u;
  let low = wordAt(first, base + half128 * 64u + quarter % 2u * 32u + byte) >> (quarter / 2u * 4u);
  let high = wordAt(first, base + 128u + half128 * 32u + byte) >> (quarter * 2u);
  let packed = (low & 0x0f0f0f0fu) | ((high & 0x03030303u) << 4u);
  return scale * (vec4f((vec4u(packed) >> vec4u(0, 8, 16, 24)) & vec4u(255)) - 32);`,
  },
};

/** Quads that share a scale. */
export function quadsPerScale(type: BlockType): number {
  return ACCESS[type].quadsPerScale;
}

/** A scale before any is known, as WGSL. */
export function noScale(type: BlockType): string {
  return ACCESS[type].scaleType === 'f32' ? '0f' : 'vec2f()';
}

/** WGSL of `scaleOf(row, q)` and `elements(row, q, scale) -> vec4f` for a binding `array<u32>`. */
export function quantisedAccess(type: BlockType, binding: string): string {
  const { block, bytes } = WEIGHT_FORMATS[type];
  const { scaleType, helpers, scale, elements } = ACCESS[type];
  const place = `  let first = row + q / ${block / 4}u * ${bytes / 4}u;
  let i = q % ${block / 4}u;`;
  return `
fn word(at: u32) -> u32 { return ${binding}[at]; }${helpers}
fn scaleOf(row: u32, q: u32) -> ${scaleType} {
${place}
${scale}
}
fn elements(row: u32, q: u32, scale: ${scaleType}) -> vec4f {
${place}
${elements}
}`.trim();
}
