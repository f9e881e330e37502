/**
 * Times kernels on the first device: GFLOP/s of `matmul` and `attention` over shapes of small models, beside a naive
 * matmul (one thread per output) measured in the same run. Software devices share the machine with everything else,
 * so trust the ratios and the best of several rounds rather than the figures.
 *
 *   npm run bench:kernels --
 */
import { WEIGHT_TYPES } from '../compiler/model/weight-types.js';
import { openDevices } from '../runtime/device/dawn.js';
import type { BoundKernel, Device } from '../runtime/device/device.js';
import type { KernelRequest, KernelVariant } from '../runtime/kernels/kernel.js';
import { kernelVariants } from '../runtime/kernels/library.js';
import { ceilDiv, defineKernel, read, readWrite } from '../runtime/kernels/wgsl.js';

const ROUNDS = 5;
const OPERAND_BYTES = 32 * 1024 * 1024;
const POSITIONS = 512;

interface Timed {
  readonly name: string;
  readonly flop: number;
  readonly variant: KernelVariant;
  readonly immediates: readonly number[];
  /** First bytes of operands that are not all zero. */
  readonly contents?: Readonly<Record<number, Uint32Array>>;
}

/** Runs the benchmark and prints a table to stdout. */
export async function benchKernels(): Promise<void> {
  const [device] = await openDevices(1);
  const shapes = [
    [1, 768, 768],
    [4, 768, 768],
    [16, 768, 768],
    [64, 768, 768],
    [256, 768, 768],
    [64, 2048, 2048],
  ] as const;
  for (const [rows, n, k] of shapes) {
    const flop = 2 * rows * n * k;
    const naive = await best(device!, {
      name: 'naive',
      flop,
      variant: naiveMatmul(n, k),
      immediates: [rows],
    });
    const results = [`matmul ${rows} x ${n} x ${k}: naive ${naive.toFixed(1)}`];
    for (const dtype of WEIGHT_TYPES) {
      const request: KernelRequest = { kernel: 'matmul', params: { n, k, bias: 0 }, dtype };
      const variant = kernelVariants(request, device!.limits).find(({ maxRows }) => maxRows >= rows)!;
      const rate = await best(device!, { name: dtype, flop, variant, immediates: [rows] });
      results.push(`${dtype} ${rate.toFixed(1)} (${(rate / naive).toFixed(1)}x)`);
    }
    console.log(`${results.join(', ')} GFLOP/s`);
  }
  for (const timed of attentionCases(device!)) {
    console.log(`${timed.name}: ${(await best(device!, timed)).toFixed(1)} GFLOP/s`);
  }
  device!.destroy();
}

function attentionCases(device: Device): Timed[] {
  const [heads, kvHeads, headDim, pageTokens] = [8, 4, 64, 16];
  const table = Uint32Array.from({ length: POSITIONS / pageTokens }, (_, page) => page);
  const at = (tileRows: number, tiles: Uint32Array, pairs: number): Timed => ({
    name: `attention ${tileRows === 1 ? 'decode' : 'prefill'}, ${heads}/${kvHeads} heads of ${headDim}`,
    flop: 4 * pairs * heads * headDim,
    variant: kernelVariants(
      {
        kernel: 'attention',
        params: { heads, kvHeads, headDim, pageTokens, groupLayers: 1, scale: 0.125, tileRows },
        dtype: 'f32',
      },
      device.limits,
    )[0]!,
    immediates: [tiles.length / 4, 0],
    contents: { 0: tiles, 1: table },
  });
  const prefill = Uint32Array.from({ length: POSITIONS / 16 }, (_, t) => t).reduce<number[]>(
    (tiles, t) => [...tiles, t * 16, 16, t * 16, 0],
    [],
  );
  const decode = Array.from({ length: 16 }, (_, row) => [row, 1, POSITIONS - 1, 0]).flat();
  return [
    at(16, Uint32Array.from(prefill), (POSITIONS * (POSITIONS + 1)) / 2),
    at(1, Uint32Array.from(decode), 16 * POSITIONS),
  ];
}

/** Best rate of several rounds, each of enough dispatches to outweigh the submission. */
async function best(device: Device, timed: Timed): Promise<number> {
  const { variant } = timed;
  const kernel = await device.createKernel(variant);
  const buffers = variant.bindings.map((_, i) => device.createBuffer(`operand ${i}`, OPERAND_BYTES));
  for (const [operand, words] of Object.entries(timed.contents ?? {})) {
    device.write(buffers[Number(operand)]!, 0, new Uint8Array(words.buffer));
  }
  const bound = device.bind(
    kernel,
    buffers.map((buffer) => ({ buffer })),
  );
  await round(device, bound, timed, 1);
  const repeats = Math.max(1, Math.round(2e8 / timed.flop));
  let seconds = Infinity;
  for (let i = 0; i < ROUNDS; i++) {
    seconds = Math.min(seconds, (await round(device, bound, timed, repeats)) / repeats);
  }
  for (const buffer of buffers) device.free(buffer);
  return timed.flop / seconds / 1e9;
}

async function round(device: Device, bound: BoundKernel, timed: Timed, repeats: number): Promise<number> {
  await device.idle();
  const began = performance.now();
  device.record((commands) => {
    const immediates = Uint32Array.from(timed.immediates);
    const grid = timed.variant.grid(timed.immediates[0]!);
    for (let i = 0; i < repeats; i++) commands.dispatch(bound, immediates, grid);
  });
  await device.idle();
  return (performance.now() - began) / 1000;
}

/** What everything is measured against: a thread per output, nothing shared. */
function naiveMatmul(n: number, k: number): KernelVariant {
  return defineKernel({
    name: 'matmul.naive',
    bindings: [read('a', 'f32'), read('weight', 'f32'), readWrite('out', 'f32')],
    immediates: ['rows'],
    constants: [
      ['n', 'u32', n],
      ['k', 'u32', k],
    ],
    workgroup: [64, 1, 1],
    grid: (rows) => [ceilDiv(n, 64), rows, 1],
    body: `
  let col = wg.x * 64u + local.x;
  if (col >= im.n || wg.y >= im.rows) { return; }
  var sum = 0f;
  for (var i = 0u; i < im.k; i++) { sum += a[wg.y * im.k + i] * weight[col * im.k + i]; }
  out[wg.y * im.n + col] = sum;`,
  });
}

await benchKernels();
