/**
 * How much one step of a stage may carry, and what that costs in device memory beside the workspace.
 *
 * - A prefill step carries up to `microbatchTokens` rows. The sequences that finish in it sample one row each:
 *   `PREFILL_SEQUENCES` at most, which bounds the logits (prompts shorter than a 64th of a microbatch would fill
 *   it with more sequences than that; they wait for the next step).
 * - A decode step carries one row per sequence: the stage's batch divided over replicas, and over `pp` microbatches
 *   that fill the pipeline.
 * - A fused stage mixes both.
 */
import { kvView, pagesSpanned } from '../model/kv-window.js';
import type { ModelShape } from '../model/shape.js';
import type { Stage } from '../plan/plan.js';

export const PREFILL_SEQUENCES = 64;

/** Bytes the `sample` kernel reports per sampled row: the chosen id, its scores, and 64 candidates. */
const SAMPLE_OUTPUT_BYTES = 4 * (8 + 2 * 64);

/** Bytes of step arguments per token row (ids and tiles) and per sampled row. */
const ROW_ARGUMENT_BYTES = 16 + 16;
const SAMPLE_ARGUMENT_BYTES = 32;

/** Bytes per sampled row for what requests change about their logits. A step that needs more takes several turns. */
const ADJUSTMENT_BYTES = 2048;

export interface StepSizes {
  readonly maxTokens: number;
  readonly maxSequences: number;
}

/** Largest step of one replica of a stage. */
export function stepSizes(stage: Stage): StepSizes {
  const { dp, pp } = stage.mesh;
  const decoding = Math.max(1, Math.ceil(stage.batchRequests / (dp * pp)));
  if (!stage.phases.includes('prefill')) return { maxTokens: decoding, maxSequences: decoding };
  const prefilling = Math.min(stage.microbatchTokens, PREFILL_SEQUENCES);
  if (!stage.phases.includes('decode')) {
    return { maxTokens: stage.microbatchTokens, maxSequences: prefilling };
  }
  const maxTokens = Math.max(stage.microbatchTokens, decoding);
  return { maxTokens, maxSequences: Math.max(decoding, prefilling) };
}

/** Bytes of a rank's buffer of logit adjustments: it holds at least one row's bitmap of the vocabulary. */
export function adjustmentBytes(maxSequences: number, vocab: number): number {
  return Math.max(maxSequences * ADJUSTMENT_BYTES, 4 * (1 + Math.ceil(vocab / 32)));
}

/**
 * The most pages that the sequences of a step see together. With a window, what the rows of one see lies in no more pages
 * than the window does, and those rows themselves: n of them add less than n / page + 1.
 */
export function tableEntries(
  { maxSequences, maxTokens }: StepSizes,
  shape: ModelShape,
  pageTokens: number,
): number {
  const all = maxSequences * Math.ceil(shape.context / pageTokens);
  const windows = maxSequences * (pagesSpanned(kvView(shape, pageTokens), 1) + 1);
  return Math.min(all, windows + Math.ceil(maxTokens / pageTokens));
}

/**
 * Bytes of a rank's step arguments, logit adjustments and sample output (before and after adjustments); regions are
 * aligned to 256 bytes.
 */
export function stepArgumentBytes(sizes: StepSizes, shape: ModelShape, pageTokens: number): number {
  const { vocab } = shape;
  const table = tableEntries(sizes, shape, pageTokens) * 4;
  const regions = sizes.maxTokens * ROW_ARGUMENT_BYTES + table + sizes.maxSequences * SAMPLE_ARGUMENT_BYTES;
  const output = 2 * sizes.maxSequences * SAMPLE_OUTPUT_BYTES;
  return regions + adjustmentBytes(sizes.maxSequences, vocab) + output + 4 * 256;
}
