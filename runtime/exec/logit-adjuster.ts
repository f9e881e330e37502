/**
 * Changes a rank's logits in place between the last kernel that makes them and the `sample` kernel, for steps in which a
 * request wants it. Other steps do not notice.
 */
import { adjustmentBytes } from '../../compiler/passes/step-sizes.js';
import type { BufferRange, Device, DeviceBuffer } from '../device/device.js';
import type { KernelLibrary, KernelRequest } from '../kernels/kernel.js';
import { SAMPLE_WORDS } from '../kernels/kernel.js';
import type { StepArgs } from './step-args.js';

export interface LogitAdjuster {
  /** Report of the `sample` kernel on the logits before they are changed, for steps that want it. */
  readonly plainOutput: DeviceBuffer;
  /** Submits a step's adjustments; the logits must have been submitted before. */
  apply(step: StepArgs): void;
}

export interface AdjusterOptions {
  readonly device: Device;
  readonly library: KernelLibrary;
  readonly label: string;
  readonly maxSequences: number;
  readonly vocab: number;
  /** First id of the rank's logits. */
  readonly vocabStart: number;
  /** Static parameters of the `sample` kernel of these logits. */
  readonly params: KernelRequest['params'];
  readonly samples: BufferRange;
  readonly logits: BufferRange;
}

/** Allocates the buffers and compiles and binds the kernels. */
export async function openLogitAdjuster(options: AdjusterOptions): Promise<LogitAdjuster> {
  const { device, label, maxSequences, vocab, vocabStart, params } = options;
  const capacity = adjustmentBytes(maxSequences, vocab);
  const buffer = device.createBuffer(`${label} logit adjustments`, capacity);
  const plainOutput = device.createBuffer(`${label} plain samples`, maxSequences * SAMPLE_WORDS * 4);
  const ready = async (kernel: 'sample' | 'adjust' | 'mask', ranges: readonly BufferRange[]) => {
    // These families have one variant, for any number of rows.
    const variant = options.library({ kernel, params }, device.limits).at(-1)!;
    return { variant, bound: device.bind(await device.createKernel(variant), ranges) };
  };
  const [plain, adjust, mask] = await Promise.all([
    ready('sample', [options.samples, options.logits, { buffer: plainOutput }]),
    ready('adjust', [{ buffer }, options.logits]),
    ready('mask', [{ buffer }, options.logits]),
  ]);
  const dispatch = ({ variant, bound }: typeof plain, count: number): void =>
    device.record((commands) =>
      commands.dispatch(bound, Uint32Array.of(count, vocabStart), variant.grid(count)),
    );
  return {
    plainOutput,
    apply({ sampleCount, adjustments }) {
      if (adjustments === undefined) return;
      if (adjustments.wantsPlain) dispatch(plain, sampleCount);
      for (const turn of adjustments.turns) {
        device.write(buffer, 0, turn.bytes);
        dispatch(turn.kernel === 'mask' ? mask : adjust, turn.count);
      }
    },
  };
}
