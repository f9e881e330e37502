/**
 * The contract between WGSL generators and executors.
 *
 * A kernel family turns the static parameters of a runtime op into one or more variants; the executor picks, per
 * step, the first variant whose `maxRows` is at least the step's row count. Word 0 of the immediates is always the
 * row count (`matmul`, norms, ...) or the tile count (`attention`); dispatches are exact, kernels still guard.
 */
import type { WeightType } from '../../compiler/model/weight-types.js';
import type { KernelName } from '../../compiler/ir/runtime-program.js';
import type { DeviceLimits, KernelSource } from '../device/device.js';

export interface KernelVariant extends KernelSource {
  readonly maxRows: number;
  /** Workgroups for `rows` rows (tiles for `attention`, sampled rows for `sample`). */
  readonly grid: (rows: number) => readonly [number, number, number];
}

export interface KernelRequest {
  readonly kernel: KernelName | 'sample' | 'adjust' | 'mask';
  readonly params: Readonly<Record<string, number>>;
  readonly dtype?: WeightType;
}

export type KernelLibrary = (request: KernelRequest, limits: DeviceLimits) => readonly KernelVariant[];

/**
 * The step arguments of one rank, one storage buffer with four regions (offsets aligned to 256 bytes), written once
 * per step:
 * - `rows`:    vec4u per token row: (token id, position, kv slot = page * pageTokens + offset, page table start)
 * - `table`:   u32 page ids; a sequence's pages are consecutive from its table start. First pages of which its rows see
 *              nothing are left out: the start is so many less, modulo 2^32
 * - `tiles`:   vec4u per attention tile: (first row, row count, position of first row, page table start). A tile's
 *              rows are consecutive positions of one sequence; at most ATTENTION_TILE_ROWS of them.
 * - `samples`: vec4u x 2 per sampled row: (row, mode, seed, position), (1/temperature as f32 bits, 0, 0, 0)
 *
 * Sample modes: 0 greedy; 1 Gumbel-max over the whole vocabulary (plain temperature); 2 greedy with candidates, for
 * truncated sampling (top_k, top_p, min_p) or top logprobs; 3 Gumbel-max with candidates.
 */
export const ATTENTION_TILE_ROWS = 16;

/** Candidates a `sample` kernel reports per row. */
export const SAMPLE_CANDIDATES = 64;

/**
 * Output of the `sample` kernel, per row `SAMPLE_WORDS` u32:
 * [0] chosen id (global; argmax of the logits, Gumbel-perturbed in modes 1 and 3), [1] its score f32 (perturbed likewise),
 * [2] its plain logit f32, [3] max logit f32, [4] sum of exp((logit - max) / T) f32 (T = 1 when greedy),
 * [5] sum of exp(logit - max) f32, [6] candidate count, [7] 0, then `SAMPLE_CANDIDATES` ids and `SAMPLE_CANDIDATES`
 * logits f32 in (logit desc, id asc) order; candidates are filled in modes 2 and 3 only. Everything is over the columns of
 * this rank: params `vocabStart` (first global id), `cols` (columns held), `vocab` (true size; columns at or beyond it
 * are never chosen nor summed). Operands: (step.samples, logits, out).
 */
export const SAMPLE_WORDS = 8 + 2 * SAMPLE_CANDIDATES;

/**
 * What the `adjust` kernel takes per changed logit, `ADJUST_WORDS` u32: [0] row of the logits, [1] token id (global),
 * [2] bias f32, [3] repetition f32, [4] penalty f32. The logit becomes `r(logit + bias) - penalty`, where r divides what
 * is positive by `repetition` and multiplies what is not. No (row, id) comes twice; ids of other ranks are passed over.
 */
export const ADJUST_WORDS = 5;

/**
 * Logit of a token that must not be drawn. Finite, since WGSL promises nothing about infinities, and low enough that its
 * weight is zero in f32 and f64 beside any logit a model gives.
 */
export const BANNED_LOGIT = -1e30;

/** Whether a logit is that of a banned token; a penalty of `-BANNED_LOGIT` bans too. */
export function isBanned(logit: number): boolean {
  return logit < BANNED_LOGIT / 2;
}

/** Words the `mask` kernel takes per masked row: [0] row of the logits, then a bit per token id, set where allowed. */
export function maskWords(vocab: number): number {
  return 1 + Math.ceil(vocab / 32);
}
