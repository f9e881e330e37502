/**
 * What all kernels share: the frame around a kernel body (immediates, bindings, entry point), access to weights and
 * pages of every element type, and sums over a workgroup. Bodies are WGSL text; this file turns a description of a
 * kernel into a `KernelVariant`.
 *
 * Immediates come in two parts: those of the dispatch (row count first), then sizes that are fixed per op. Sizes are
 * not written into the text, so that one pipeline serves every shape of a model.
 */
import type { DType } from '../../compiler/model/shape.js';
import { isQuantised, type WeightType } from '../../compiler/model/weight-types.js';
import type { DeviceLimits } from '../device/device.js';
import type { KernelVariant } from './kernel.js';

export interface Binding {
  readonly name: string;
  readonly access: 'read' | 'read_write';
  /** Element type of the runtime-sized array. */
  readonly type: string;
}

export interface KernelDescription {
  /** Family and what distinguishes the text of this variant. */
  readonly name: string;
  readonly bindings: readonly Binding[];
  /** Immediates of the dispatch, u32. */
  readonly immediates: readonly string[];
  readonly constants: readonly Constant[];
  readonly subgroups?: boolean;
  readonly workgroup: readonly [number, number, number];
  /** Module-scope declarations and functions. */
  readonly declarations?: string;
  /** Entry point parameters beyond `wg: workgroup_id` and `local: local_invocation_id`. */
  readonly builtins?: string;
  readonly body: string;
  readonly maxRows?: number;
  readonly grid: (rows: number) => readonly [number, number, number];
}

export type Constant = readonly [name: string, type: 'u32' | 'f32', value: number];

export function read(name: string, type: string): Binding {
  return { name, access: 'read', type };
}

export function readWrite(name: string, type: string): Binding {
  return { name, access: 'read_write', type };
}

export function defineKernel(kernel: KernelDescription): KernelVariant {
  const fields = [
    ...kernel.immediates.map((name) => `  ${name}: u32,`),
    ...kernel.constants.map(([name, type]) => `  ${name}: ${type},`),
  ];
  const wgsl = [
    'requires immediate_address_space;',
    ...(kernel.subgroups === true ? ['enable subgroups;'] : []),
    'struct Immediates {',
    ...fields,
    '}',
    'var<immediate> im: Immediates;',
    ...kernel.bindings.map(
      ({ name, access, type }, index) =>
        `@group(0) @binding(${index}) var<storage, ${access}> ${name}: array<${type}>;`,
    ),
    ...(kernel.declarations === undefined ? [] : [kernel.declarations.trim()]),
    `@compute @workgroup_size(${kernel.workgroup.join(', ')})`,
    'fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) local: vec3u' +
      `${kernel.builtins === undefined ? '' : `, ${kernel.builtins}`}) {`,
    kernel.body.replace(/^\n+|\s+$/g, ''),
    '}',
    '',
  ].join('\n');
  const sizes = kernel.constants.map(([name, , value]) => `${name}=${value}`).join(' ');
  return {
    key: `${kernel.name}(${sizes})`,
    wgsl,
    bindings: kernel.bindings.map(({ access }) => access),
    immediates: kernel.immediates.length,
    constants: kernel.constants.map(([, type, value]) => (type === 'f32' ? f32Bits(value) : value)),
    maxRows: kernel.maxRows ?? Infinity,
    grid: kernel.grid,
  };
}

export function f32Bits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

/** A parameter of a request; a missing one is a bug of the lowering. */
export function param(params: Readonly<Record<string, number>>, name: string): number {
  const value = params[name];
  if (value === undefined) throw new Error(`kernel parameter ${name} is missing`);
  return value;
}

/** Element type of a request for a kernel without quantised variants; another is a bug of the lowering. */
export function plainType(dtype: WeightType = 'f32'): DType {
  if (isQuantised(dtype)) throw new Error(`no kernel takes ${dtype} here`);
  return dtype;
}

/** Subgroup size to build on, or 0 where kernels must do without. */
export function subgroupSize(limits: DeviceLimits): number {
  return limits.features.has('subgroups') ? limits.subgroupSize : 0;
}

export function ceilDiv(value: number, by: number): number {
  return Math.ceil(value / by);
}

/** Lowest finite f32: what a maximum over nothing is. WGSL has no infinities. */
export const LOWEST = '-3.4028234e38f';

/**
 * `tanhOf(v: TYPE) -> TYPE`, accurate relative to the result: the series up to v^7 for small |v|, where
 * 1 - 2 / (exp(2|v|) + 1) would cancel. The built-in may be wrong by 1e-5, and by anything where exp overflows.
 */
export function tanhOf(type: 'f32' | 'vec4f'): string {
  return `
fn tanhOf(v: ${type}) -> ${type} {
  let a = min(abs(v), ${type}(15));
  let s = a * a;
  let near = a * (1.0 - s * (0.33333333f - s * (0.13333333f - s * (0.053968254f - s * 0.021869489f))));
  let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
  return sign(v) * select(far, near, a < ${type}(0.25));
}`.trim();
}

/** WGSL converting four packed 16-bit elements (two words) to f32: `unpack4(vec2u) -> vec4f`. */
export function unpack4(dtype: Exclude<DType, 'f32'>): string {
  return dtype === 'f16'
    ? 'fn unpack4(w: vec2u) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }'
    : 'fn unpack4(w: vec2u) -> vec4f { return bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)); }';
}

/** Storage type of four consecutive elements, and an expression for their values. */
export function quad(dtype: DType): { readonly type: string; readonly declarations: string } {
  return dtype === 'f32'
    ? { type: 'vec4f', declarations: 'fn unpack4(w: vec4f) -> vec4f { return w; }' }
    : { type: 'vec2u', declarations: unpack4(dtype) };
}

/** Storage type of two consecutive elements, with `unpack2` and `pack2` between it and vec2f. */
export function pair(dtype: DType): { readonly type: string; readonly declarations: string } {
  if (dtype === 'f32') {
    return {
      type: 'vec2f',
      declarations: 'fn unpack2(w: vec2f) -> vec2f { return w; }\nfn pack2(v: vec2f) -> vec2f { return v; }',
    };
  }
  if (dtype === 'f16') {
    // Values beyond the f16 range have no defined packing.
    return {
      type: 'u32',
      declarations:
        'fn unpack2(w: u32) -> vec2f { return unpack2x16float(w); }\n' +
        'fn pack2(v: vec2f) -> u32 { return pack2x16float(clamp(v, vec2f(-65504), vec2f(65504))); }',
    };
  }
  return {
    type: 'u32',
    declarations: `
fn unpack2(w: u32) -> vec2f { return bitcast<vec2f>(vec2u(w << 16u, w & 0xffff0000u)); }
fn pack2(v: vec2f) -> u32 {
  let b = bitcast<vec2u>(v);
  let rounded = (b + 0x7fffu + ((b >> vec2u(16u)) & vec2u(1u))) >> vec2u(16u);
  let h = select(rounded, vec2u(0x7fc0u), (b & vec2u(0x7fffffffu)) > vec2u(0x7f800000u));
  return h.x | (h.y << 16u);
}`.trim(),
  };
}

/**
 * A sum over a workgroup of one row's threads: one subgroup where there are subgroups, 64 threads and workgroup
 * memory otherwise. `sumAll(value, lane)` must be called in uniform control flow.
 */
export function rowReduction(limits: DeviceLimits): {
  readonly width: number;
  readonly subgroups: boolean;
  readonly declarations: string;
} {
  const width = subgroupSize(limits);
  if (width > 0) {
    return {
      width,
      subgroups: true,
      declarations: 'fn sumAll(value: f32, lane: u32) -> f32 { return subgroupAdd(value); }',
    };
  }
  return {
    width: 64,
    subgroups: false,
    declarations: `
var<workgroup> partial: array<f32, 64>;
fn sumAll(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  for (var step = 32u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (lane < step) { partial[lane] += partial[lane + step]; }
  }
  workgroupBarrier();
  return partial[0];
}`.trim(),
  };
}
