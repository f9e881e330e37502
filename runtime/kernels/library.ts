/** The kernels, by name: what executors ask for. */
import { adjust, mask } from './adjust.js';
import { attention } from './attention.js';
import { add, embed, gated, gatherRows, softCap } from './elementwise.js';
import type { KernelLibrary, KernelRequest } from './kernel.js';
import { matmul } from './matmul.js';
import { rmsNorm } from './norm.js';
import { ropeAppend } from './rope.js';
import { sample } from './sample.js';

const FAMILIES: Readonly<Record<KernelRequest['kernel'], KernelLibrary>> = {
  embed,
  rms_norm: rmsNorm,
  add_rms_norm: rmsNorm,
  add,
  matmul,
  rope_append: ropeAppend,
  attention,
  silu_mul: gated('silu_mul'),
  gelu_mul: gated('gelu_mul'),
  soft_cap: softCap,
  gather_rows: gatherRows,
  sample,
  adjust,
  mask,
};

/** Variants of a kernel for a device, in ascending order of `maxRows`; the last serves any number of rows. */
export const kernelVariants: KernelLibrary = (request, limits) => FAMILIES[request.kernel](request, limits);
