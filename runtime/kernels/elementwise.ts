/**
 * Kernels without arithmetic across columns: `embed`, `add`, `silu_mul`, `gelu_mul`, `soft_cap`, `gather_rows`. One
 * thread makes four consecutive columns of one row; the grid is (column blocks, rows).
 */
import { activationStride, weightRowBytes } from '../../compiler/ir/device-layout.js';
import type { Gating } from '../../compiler/ir/logical.js';
import { isQuantised } from '../../compiler/model/weight-types.js';
import type { KernelLibrary, KernelRequest, KernelVariant } from './kernel.js';
import { quantisedAccess } from './quantised.js';
import { ceilDiv, defineKernel, param, quad, read, readWrite, tanhOf } from './wgsl.js';
import type { KernelDescription } from './wgsl.js';

const THREADS = 64;

/** Frame of a kernel over quads of columns; the body sees `row` and `q`, a quad below `im.quads`. */
function overQuads(
  quads: number,
  kernel: Omit<KernelDescription, 'workgroup' | 'grid' | 'body'> & { readonly body: string },
): KernelVariant {
  return defineKernel({
    ...kernel,
    constants: [['quads', 'u32', quads], ...kernel.constants],
    workgroup: [THREADS, 1, 1],
    grid: (rows) => [ceilDiv(quads, THREADS), rows, 1],
    body: `
  let q = wg.x * ${THREADS}u + local.x;
  let row = wg.y;
  if (q >= im.quads || row >= im.rows) { return; }
${kernel.body.replace(/^\n+/, '')}`,
  });
}

/** (step.rows, table, out); a token outside `[vocabStart, vocabStart + vocabRows)` gives a row of zeros. */
export function embed({ params, dtype = 'f32' }: KernelRequest): readonly KernelVariant[] {
  const hidden = param(params, 'hidden');
  const vocabRows = param(params, 'vocabRows');
  const { scale } = params;
  const rowBytes = weightRowBytes({ dtype, rows: vocabRows, cols: hidden });
  const { type, declarations, value, unitBytes } = isQuantised(dtype)
    ? {
        type: 'u32',
        declarations: quantisedAccess(dtype, 'table'),
        value: 'elements(id * im.tableStride, q, scaleOf(id * im.tableStride, q))',
        unitBytes: 4,
      }
    : {
        ...quad(dtype),
        value: 'unpack4(table[id * im.tableStride + q])',
        unitBytes: dtype === 'f32' ? 16 : 8,
      };
  return [
    overQuads(activationStride(hidden) / 4, {
      name: `embed.${dtype}${scale === undefined ? '' : '.scaled'}`,
      bindings: [read('rows', 'vec4u'), read('table', type), readWrite('out', 'vec4f')],
      immediates: ['rows', 'vocabStart'],
      constants: [
        ['vocabRows', 'u32', vocabRows],
        ['tableStride', 'u32', rowBytes / unitBytes],
        ...(scale === undefined ? [] : ([['scale', 'f32', scale]] as const)),
      ],
      declarations,
      body: `
  let id = rows[row].x - im.vocabStart;
  var value = vec4f();
  if (id < im.vocabRows) { value = ${value}${scale === undefined ? '' : ' * im.scale'}; }
  out[row * im.quads + q] = value;`,
    }),
  ];
}

/** (x, delta): x += delta. */
export function add({ params }: KernelRequest): readonly KernelVariant[] {
  return [
    overQuads(activationStride(param(params, 'cols')) / 4, {
      name: 'add',
      bindings: [readWrite('x', 'vec4f'), read('delta', 'vec4f')],
      immediates: ['rows'],
      constants: [],
      body: `
  let i = row * im.quads + q;
  x[i] += delta[i];`,
    }),
  ];
}

/**
 * The gatings. GELU in its tanh form is v * logistic(2u) with u = sqrt(2 / pi) * (v + 0.044715 v^3), because
 * (1 + tanh(u)) / 2 is the logistic function of 2u; so it needs no tanh.
 */
const GATINGS: Readonly<Record<Gating, string>> = {
  silu_mul: 'fn act(v: vec4f) -> vec4f { return v / (vec4f(1) + exp(-v)); }',
  gelu_mul:
    'fn act(v: vec4f) -> vec4f { return v / (vec4f(1) + exp(-1.5957691216f * (v + 0.044715f * v * v * v))); }',
};

/** (gateUp, out): out = act(gate) * up, where gateUp holds `[gate | up]` per row. */
export function gated(kernel: Gating): KernelLibrary {
  return ({ params }) => gatedVariants(kernel, param(params, 'cols'));
}

function gatedVariants(name: Gating, cols: number): readonly KernelVariant[] {
  const act = GATINGS[name];
  const quads = activationStride(cols) / 4;
  if (cols % 4 === 0) {
    return [
      overQuads(quads, {
        name,
        bindings: [read('gateUp', 'vec4f'), readWrite('out', 'vec4f')],
        immediates: ['rows'],
        constants: [],
        declarations: act,
        body: `
  let gate = row * 2u * im.quads + q;
  out[row * im.quads + q] = act(gateUp[gate]) * gateUp[gate + im.quads];`,
      }),
    ];
  }
  // `up` does not start on a quad: its elements are read one by one, and the last quad is partly padding.
  return [
    overQuads(quads, {
      name: `${name}.odd`,
      bindings: [read('gateUp', 'f32'), readWrite('out', 'vec4f')],
      immediates: ['rows'],
      constants: [
        ['cols', 'u32', cols],
        ['stride', 'u32', activationStride(2 * cols)],
      ],
      declarations: act,
      body: `
  var gate = vec4f();
  var up = vec4f();
  for (var i = 0u; i < 4u; i++) {
    let col = q * 4u + i;
    if (col < im.cols) {
      gate[i] = gateUp[row * im.stride + col];
      up[i] = gateUp[row * im.stride + im.cols + col];
    }
  }
  out[row * im.quads + q] = act(gate) * up;`,
    }),
  ];
}

/** (x): x = cap * tanh(x / cap). */
export function softCap({ params }: KernelRequest): readonly KernelVariant[] {
  return [
    overQuads(activationStride(param(params, 'cols')) / 4, {
      name: 'soft_cap',
      bindings: [readWrite('x', 'vec4f')],
      immediates: ['rows'],
      constants: [['cap', 'f32', param(params, 'cap')]],
      declarations: tanhOf('vec4f'),
      body: `
  let i = row * im.quads + q;
  x[i] = im.cap * tanhOf(x[i] / im.cap);`,
    }),
  ];
}

/** (step.samples, x, out): row i of out is row `samples[2i].x` of x. */
export function gatherRows({ params }: KernelRequest): readonly KernelVariant[] {
  return [
    overQuads(activationStride(param(params, 'cols')) / 4, {
      name: 'gather_rows',
      bindings: [read('samples', 'vec4u'), read('x', 'vec4f'), readWrite('out', 'vec4f')],
      immediates: ['rows'],
      constants: [],
      body: `
  out[row * im.quads + q] = x[samples[2u * row].x * im.quads + q];`,
    }),
  ];
}
