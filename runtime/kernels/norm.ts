/**
 * `rms_norm` and `add_rms_norm`: out = x / sqrt(mean(x^2) + eps) * (offset + weight) over the true columns of a row.
 * One workgroup (a subgroup where there are subgroups) per row. Pad columns of x are zero, so they need no care.
 */
import { activationStride } from '../../compiler/ir/device-layout.js';
import type { DeviceLimits } from '../device/device.js';
import type { KernelRequest, KernelVariant } from './kernel.js';
import { defineKernel, param, plainType, quad, read, readWrite, rowReduction } from './wgsl.js';

/** (x, weight, out) or, with `delta`, (x, delta, weight, out) which also makes x += delta. */
export function rmsNorm(
  { kernel, params, dtype: requested }: KernelRequest,
  limits: DeviceLimits,
): KernelVariant[] {
  const cols = param(params, 'cols');
  const fused = kernel === 'add_rms_norm';
  const { offset } = params;
  const dtype = plainType(requested);
  const { type, declarations } = quad(dtype);
  const reduction = rowReduction(limits);
  return [
    defineKernel({
      name: `${kernel}.${dtype}${offset === undefined ? '' : '.offset'}`,
      bindings: [
        fused ? readWrite('x', 'vec4f') : read('x', 'vec4f'),
        ...(fused ? [read('delta', 'vec4f')] : []),
        read('weight', type),
        readWrite('out', 'vec4f'),
      ],
      immediates: ['rows'],
      constants: [
        ['quads', 'u32', activationStride(cols) / 4],
        ['cols', 'f32', cols],
        ['eps', 'f32', param(params, 'eps')],
        ...(offset === undefined ? [] : ([['offset', 'f32', offset]] as const)),
      ],
      subgroups: reduction.subgroups,
      workgroup: [reduction.width, 1, 1],
      grid: (rows) => [rows, 1, 1],
      declarations: `${declarations}\n${reduction.declarations}`,
      body: `
  let row = wg.x;
  if (row >= im.rows) { return; }
  let start = row * im.quads;
  var squares = vec4f();
  for (var q = local.x; q < im.quads; q += ${reduction.width}u) {
${
  fused
    ? `    let v = x[start + q] + delta[start + q];
    x[start + q] = v;`
    : '    let v = x[start + q];'
}
    squares += v * v;
  }
  let total = sumAll(squares.x + squares.y + squares.z + squares.w, local.x);
  let scale = 1.0 / sqrt(total / im.cols + im.eps);
  for (var q = local.x; q < im.quads; q += ${reduction.width}u) {
    out[start + q] = x[start + q] * scale * ${offset === undefined ? 'unpack4(weight[q])' : '(unpack4(weight[q]) + im.offset)'};
  }`,
    }),
  ];
}
