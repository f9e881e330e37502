/**
 * A layer's worth of kernels, as calibrations run them on several devices at once. Many layers in one submit show how fast
 * kernels are: what handing them over takes, and finding out that they are done, is next to nothing beside them.
 */
import { kernelRun, matmulRun, type CalibrationLayer } from './calibration-kernels.js';
import { prepare, type Prepared } from './calibration-prepared.js';
import { typical, typicalParts } from './calibration-rounds.js';
import type { Device } from './device.js';

/** Rows of a step that decodes, and the length of its sequences. */
const DECODING = 16;
const DECODED = 256;
/** Layers in one submit that is to show how fast kernels are. */
export const MANY_LAYERS = 4;

/** The kernels of a layer but for exchanges, on every device. */
export function prepareLayer(
  devices: readonly Device[],
  layer: CalibrationLayer,
  rows: number,
): Promise<readonly Prepared[]> {
  const { heads, kvHeads, headDim, hidden, ffn } = layer;
  const decoding = rows <= DECODING;
  const runs = [
    kernelRun('rms_norm', rows, layer),
    matmulRun(rows, (heads + 2 * kvHeads) * headDim, hidden),
    kernelRun('rope_append', rows, layer),
    decoding ? kernelRun('decode_attention', DECODED, layer) : kernelRun('attention', rows, layer),
    matmulRun(rows, hidden, heads * headDim),
    kernelRun('add_rms_norm', rows, layer),
    matmulRun(rows, 2 * ffn, hidden),
    kernelRun('silu_mul', rows, layer),
    matmulRun(rows, hidden, ffn),
  ];
  return Promise.all(devices.map((device) => prepare(device, runs)));
}

/** So many layers in one submit on every device that one is prepared on: until all are done and the host knows. */
export async function runLayers(layer: readonly Prepared[], layers = 1): Promise<void> {
  for (const { record } of layer) record(layers);
  await Promise.all(layer.map(({ device }) => device.idle()));
}

async function secondsOf(layer: readonly Prepared[], layers: number): Promise<number> {
  const began = performance.now();
  await runLayers(layer, layers);
  return (performance.now() - began) / 1000;
}

/** Seconds of many layers on all of the devices at once. */
export function measureTogether(layer: readonly Prepared[], roundSeconds: number): Promise<number> {
  return typical(() => runLayers(layer, MANY_LAYERS), roundSeconds);
}

/**
 * What devices keep of the speed that the first of them has alone. Both are timed in turn, as the machine itself is now
 * quicker, now slower.
 */
export async function measureKept(layer: readonly Prepared[], roundSeconds: number): Promise<number> {
  const round = async (): Promise<readonly number[]> => [
    await secondsOf(layer.slice(0, 1), MANY_LAYERS),
    await secondsOf(layer, MANY_LAYERS),
  ];
  const [alone, together] = await typicalParts(round, roundSeconds);
  return Math.min(1, alone! / together!);
}

/** What it takes to hand a run of kernels to a device. */
export interface Handing {
  /** Seconds in which the host records a kernel among others, their submit included: it can do nothing else meanwhile. */
  readonly encode: number;
  /**
   * Seconds that a run of kernels takes a device beside what the kernels do: in which the host hands it over, until the first
   * begins, and until the host knows that the last has ended.
   */
  readonly submit: number;
}

/** With one layer and with many in turn, as the machine itself is now quicker, now slower. */
export async function measureHanding(layer: Prepared, roundSeconds: number): Promise<Handing> {
  const round = async (): Promise<readonly number[]> => {
    const began = performance.now();
    layer.record(1);
    const recorded = (performance.now() - began) / 1000;
    await layer.device.idle();
    const one = (performance.now() - began) / 1000;
    return [recorded, besideKernels(one, await secondsOf([layer], MANY_LAYERS))];
  };
  const [recorded, beside] = await typicalParts(round, roundSeconds);
  return { encode: recorded! / layer.kernels, submit: Math.max(recorded!, beside!) };
}

/** Of the seconds of one layer in a submit those that many in one do not take for each; a round may say that it is less than none. */
function besideKernels(one: number, many: number): number {
  return one - (many - one) / (MANY_LAYERS - 1);
}
