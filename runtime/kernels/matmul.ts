/**
 * `matmul`: out[rows, n] = a[rows, k] * weight[n, k]^T + bias, f32 accumulation.
 *
 * The subgroup kernel: one subgroup per workgroup; a lane owns four consecutive columns of a tile of rows. A turn
 * covers one 16-byte load of a weight row: four k (f32) or eight (16 bits), and eight k of quantised weights, whose
 * scales a lane takes up again where a block begins. The subgroup loads the activations of its
 * rows once, spread over the lanes (element e of the tile's `rows x steps` quads sits in lane e mod size), and hands
 * them round with `subgroupBroadcast`; each lane reads its own four weight rows and multiplies with `dot`. So a weight
 * is read once per tile, and there are few load instructions, which is what software drivers are slow to compile.
 *
 * Invariant: every variant adds the quads of k in ascending order, so a row's result has the same bits whatever the
 * number of rows in the step, the subgroup size or the variant.
 */
import { activationStride, weightLayout, weightRowBytes } from '../../compiler/ir/device-layout.js';
import {
  isQuantised,
  vectorType,
  type BlockType,
  type WeightType,
} from '../../compiler/model/weight-types.js';
import type { DeviceLimits } from '../device/device.js';
import type { KernelRequest, KernelVariant } from './kernel.js';
import { noScale, quadsPerScale, quantisedAccess } from './quantised.js';
import { ceilDiv, defineKernel, param, quad, read, readWrite, subgroupSize, unpack4 } from './wgsl.js';
import type { Binding, Constant } from './wgsl.js';

/** Rows per tile of the variants; each serves steps up to its rows, the last any. */
const TILE_ROWS = [1, 4, 16] as const;

interface Matmul {
  readonly n: number;
  readonly k: number;
  readonly bias: boolean;
  readonly dtype: WeightType;
  /** Columns of the output, and the first of those that are computed. */
  readonly outCols: number;
  readonly outStart: number;
}

/** How a kernel reads weights: what it declares, and its lines for column `c`, whose row begins at `w{c}`. */
interface WeightAccess {
  /** Element type of the binding and its bytes; a row's stride is counted in it. */
  readonly type: string;
  readonly unitBytes: number;
  readonly declarations: string;
  /** Quads of k per turn. */
  readonly steps: number;
  /** Before the loop. */
  readonly begin: (c: number) => string;
  /** In the turn at quad `k`: lets `w{step}_{c}` be the quads of the turn. */
  readonly load: (c: number) => string;
}

export function matmul({ params, dtype = 'f32' }: KernelRequest, limits: DeviceLimits): KernelVariant[] {
  const op = {
    n: param(params, 'n'),
    k: param(params, 'k'),
    bias: params['bias'] === 1,
    dtype,
    outCols: params['outCols'] ?? param(params, 'n'),
    outStart: params['outStart'] ?? 0,
  };
  const lanes = subgroupSize(limits);
  if (lanes === 0) return [registerTile(op)];
  return TILE_ROWS.map((rows) => broadcastTile(op, lanes, rows, rows === TILE_ROWS.at(-1) ? Infinity : rows));
}

function operands({ bias, dtype }: Matmul, weightType: string): readonly Binding[] {
  return [
    read('a', 'vec4f'),
    read('weight', weightType),
    ...(bias ? [read('bias', quad(vectorType(dtype)).type)] : []),
    readWrite('out', 'vec4f'),
  ];
}

/** Sizes in units of the bindings: quads of activations, elements of the weights' binding. */
function sizes({ n, k, dtype, outCols, outStart }: Matmul, { unitBytes }: WeightAccess): readonly Constant[] {
  const weight = { dtype, rows: n, cols: k };
  return [
    ['n', 'u32', n],
    ['outQuads', 'u32', activationStride(outCols) / 4],
    ...(outStart === 0 ? [] : ([['outStart', 'u32', outStart / 4]] as const)),
    ['kQuads', 'u32', activationStride(k) / 4],
    ['weightRows', 'u32', weightLayout(weight).rows],
    ['weightStride', 'u32', weightRowBytes(weight) / unitBytes],
  ];
}

/** Quantised weights, `steps` quads at a time. */
function quantisedWeights(dtype: BlockType, bias: boolean, steps: number): WeightAccess {
  const lines = (c: number): string[] =>
    Array.from({ length: steps }, (_, i) => `    let w${i}_${c} = elements(w${c}, k + ${i}u, s${c});`);
  return {
    type: 'u32',
    unitBytes: 4,
    declarations: `${quantisedAccess(dtype, 'weight')}\n${bias ? quad('f32').declarations : ''}`,
    steps,
    begin: (c) => `  var s${c} = ${noScale(dtype)};`,
    load: (c) =>
      [`    if (k % ${quadsPerScale(dtype)}u == 0u) { s${c} = scaleOf(w${c}, k); }`, ...lines(c)].join('\n'),
  };
}

/** Weights by loads of 16 bytes. */
function wideWeights({ dtype, bias }: Matmul): WeightAccess {
  if (isQuantised(dtype)) return quantisedWeights(dtype, bias, 2);
  const access = { unitBytes: 16, begin: () => '' };
  if (dtype === 'f32') {
    return {
      ...access,
      type: 'vec4f',
      declarations: bias ? quad('f32').declarations : '',
      steps: 1,
      load: (c) => `    let w0_${c} = weight[w${c} + k];`,
    };
  }
  return {
    ...access,
    type: 'vec4u',
    declarations: unpack4(dtype),
    steps: 2,
    load: (c) => `    let p${c} = weight[w${c} + (k >> 1u)];
    let w0_${c} = unpack4(p${c}.xy);
    let w1_${c} = unpack4(p${c}.zw);`,
  };
}

/** Weights quad by quad. */
function narrowWeights({ dtype, bias }: Matmul): WeightAccess {
  if (isQuantised(dtype)) return quantisedWeights(dtype, bias, 1);
  return {
    ...quad(dtype),
    unitBytes: dtype === 'f32' ? 16 : 8,
    steps: 1,
    begin: () => '',
    load: (c) => `    let w0_${c} = unpack4(weight[w${c} + k]);`,
  };
}

/** The quad of an output row that the quad of column `col` goes to. */
function outQuad({ outStart }: Matmul): string {
  return outStart === 0 ? 'col / 4u' : 'im.outStart + col / 4u';
}

/** Adds the bias and zeroes columns at or beyond n in the quad of column `col`. */
function epilogue(op: Matmul, acc: string): string {
  const value = op.bias ? `${acc} + unpack4(bias[col / 4u])` : acc;
  return `select(vec4f(), ${value}, vec4u(col, col + 1u, col + 2u, col + 3u) < vec4u(im.n))`;
}

function broadcastTile(op: Matmul, lanes: number, rows: number, maxRows: number): KernelVariant {
  const weights = wideWeights(op);
  const { steps } = weights;
  const elements = rows * steps;
  const loads = ceilDiv(elements, lanes);
  const list = (count: number, line: (i: number) => string): string =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');

  const multiply = (step: number): string =>
    list(rows, (r) => {
      const element = step * rows + r;
      const source = `subgroupBroadcast(a${Math.floor(element / lanes)}, ${element % lanes}u)`;
      const dots = [0, 1, 2, 3].map((c) => `dot(v${step}_${r}, w${step}_${c})`).join(', ');
      return `    let v${step}_${r} = ${source};
    acc${r} += vec4f(${dots});`;
    });

  return defineKernel({
    name: `matmul.${op.dtype}${op.bias ? '.bias' : ''}.rows${rows}.lanes${lanes}`,
    bindings: operands(op, weights.type),
    immediates: ['rows'],
    constants: sizes(op, weights),
    subgroups: true,
    workgroup: [lanes, 1, 1],
    builtins: '@builtin(subgroup_invocation_id) lane: u32',
    maxRows,
    grid: (count) => [ceilDiv(ceilDiv(op.n, 4), lanes), ceilDiv(count, rows), 1],
    declarations: weights.declarations,
    body: `
  let row0 = wg.y * ${rows}u;
  if (row0 >= im.rows) { return; }
  let col = (wg.x * ${lanes}u + lane) * 4u;
  let lastRow = im.rows - 1u;
${list(4, (c) => `  let w${c} = min(col + ${c}u, im.weightRows - 1u) * im.weightStride;`)}
${list(loads, (i) => {
  // Lanes beyond the elements load some again; nobody asks them.
  const element = `((${i * lanes}u + lane) % ${elements}u)`;
  return `  let j${i} = ${element} / ${rows}u;
  let r${i} = min(row0 + ${element} % ${rows}u, lastRow) * im.kQuads;`;
})}
${weights.begin(0) === '' ? '' : `${list(4, weights.begin)}\n`}${list(rows, (r) => `  var acc${r} = vec4f();`)}
  for (var k = 0u; k < im.kQuads; k += ${steps}u) {
${list(loads, (i) =>
  steps === 1
    ? `    let a${i} = a[r${i} + k];`
    : `    let k${i} = k + j${i};
    let a${i} = select(vec4f(), a[r${i} + min(k${i}, im.kQuads - 1u)], k${i} < im.kQuads);`,
)}
${list(4, weights.load)}
${list(steps, multiply)}
  }
  if (col >= im.n) { return; }
  let at = row0 * im.outQuads + ${outQuad(op)};
${list(rows, (r) => `  if (row0 + ${r}u <= lastRow) { out[at + ${r}u * im.outQuads] = ${epilogue(op, `acc${r}`)}; }`)}`,
  });
}

/** Without subgroups: a thread owns four rows by four columns. */
function registerTile(op: Matmul): KernelVariant {
  const rows = 4;
  const across = 16;
  const weights = narrowWeights(op);
  const each = (line: (i: number) => string): string => [0, 1, 2, 3].map(line).join('\n');
  return defineKernel({
    name: `matmul.${op.dtype}${op.bias ? '.bias' : ''}.plain`,
    bindings: operands(op, weights.type),
    immediates: ['rows'],
    constants: sizes(op, weights),
    workgroup: [across, 4, 1],
    declarations: weights.declarations,
    grid: (count) => [ceilDiv(ceilDiv(op.n, 4), across), ceilDiv(count, rows * 4), 1],
    body: `
  let row0 = (wg.y * 4u + local.y) * ${rows}u;
  let col = (wg.x * ${across}u + local.x) * 4u;
  if (col >= im.n || row0 >= im.rows) { return; }
  let lastRow = im.rows - 1u;
${each((i) => `  let w${i} = min(col + ${i}u, im.weightRows - 1u) * im.weightStride;`)}
${each((i) => `  let r${i} = min(row0 + ${i}u, lastRow) * im.kQuads;`)}
${weights.begin(0) === '' ? '' : `${each(weights.begin)}\n`}${each((i) => `  var acc${i} = vec4f();`)}
  for (var k = 0u; k < im.kQuads; k++) {
${each(weights.load)}
${each(
  (r) => `    let v${r} = a[r${r} + k];
    acc${r} += vec4f(dot(v${r}, w0_0), dot(v${r}, w0_1), dot(v${r}, w0_2), dot(v${r}, w0_3));`,
)}
  }
  let at = row0 * im.outQuads + ${outQuad(op)};
${each((r) => `  if (row0 + ${r}u <= lastRow) { out[at + ${r}u * im.outQuads] = ${epilogue(op, `acc${r}`)}; }`)}`,
  });
}
