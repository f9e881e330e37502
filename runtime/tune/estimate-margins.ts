/**
 * What estimates are reckoned to be off by: numbers that were measured of plans and are not proven. With others a search
 * tries more plans than it need or leaves out the best one; none changes what a plan is found to take.
 *
 * Unless it is said otherwise they are of plans for the paper's machines, models and workloads. Those that name
 * `bench/estimates.ts` can be measured anew with it. Nothing in the project measures the others anew.
 */
import type { Strategy } from '../../compiler/planner/candidates.js';

/**
 * What close estimates are reckoned to be too long by: nine tenths of plans take 0.03% less than estimated or longer, and
 * half 0.05 to 0.6% longer or more. Some are too long by more, as with two replicas: a fused plan takes 1.5% less, a
 * re-sharded one 0.7% (`bench/estimates.ts`, docs/tuning.md).
 */
export const CLOSELY_OVER = 0.003;

/**
 * The same of plans with several replicas where they decode: which of these gets a long answer depends on what comes first by
 * next to nothing, and estimates cannot tell. Of some 100 such plans for machines drawn at random
 * (`bench/support/random-searches.ts`) it is up to 3.5%, and of two machines 4 to 5%.
 */
export const REPLICAS_OVER = 0.03;

/** What close estimates of single plans are hardly ever too long by: those above, and a little more. */
export const FURTHEST_OVER = 0.04;

/**
 * What rough estimates are too long by, at most, as parts of them: they are below what those plans take by 3% at least
 * for fused ones, and by 0.5% for re-sharded ones, and above by up to 7% for prefill and decode on devices of their
 * own (`bench/estimates.ts`).
 */
export const ROUGHLY_OVER: Readonly<Record<Strategy, number>> = {
  fused: 0.006,
  're-sharded': 0.006,
  disaggregated: 0.1,
};

/**
 * And of fused and re-sharded plans where pages, and not the batch, say how many sequences decode at once: the first at most,
 * and the second divided by the number of times that sequences fill these pages, as it is the last of them that are off. Of
 * some 600 such plans for machines drawn at random (`bench/support/random-searches.ts`) it is up to 0.19, and up to 0.7.
 */
export const FILLED_OVER = 0.19;
export const LAST_FILLED_OVER = 0.75;

/** Factor of what plans take to their close estimates, as a rule: the median over some 1,000 plans (`bench/estimates.ts`). */
export const CLOSELY_USUAL = 1.003;

/**
 * Factors of what plans take to their rough estimates, as a rule, with and without a pipeline for decode: the median over
 * some 250 plans, cut to 400 requests, and of fused pipelines over the best one of each search (`bench/estimates.ts`).
 */
export const ROUGHLY_USUAL: Readonly<
  Record<Strategy, { readonly pipeline: number; readonly noPipeline: number }>
> = {
  fused: { pipeline: 1.1, noPipeline: 1.045 },
  're-sharded': { pipeline: 1.08, noPipeline: 1.05 },
  disaggregated: { pipeline: 1.21, noPipeline: 1.21 },
};

/** Factor on rough estimates of the time between tokens: plans have that much of them, as a rule. */
export const ROUGHLY_BETWEEN = 0.82;

/**
 * And what of a close one, as a rule: in the median they are 0.5% below what plans take with all requests, and those of
 * fused plans from 0.3% above to 2.1% below (`bench/estimates.ts`). Nothing keeps others, such as of two replicas, from
 * being further above (docs/tuning.md).
 */
export const CLOSELY_BETWEEN = 0.994;

/**
 * Part by which a close estimate may be less than the rough one times the least ratio of a close to a rough estimate
 * that was found: of re-sharded plans with the same meshes and steps for prefill, and of those with devices of their
 * own with the same mesh for decode. Of plans whole and cut it is at most 0.022 of 1,175 and 0.111 of 559; with short
 * answers, or where all are as long, 0.036 and 0.072; for machines as small and as odd as tests make them 0.013 and
 * 0.127. Of fused plans looks tell too little: what rough estimates leave out of them depends on batch and steps, by up
 * to a fifth where answers are short.
 */
export const LESS_CLOSELY = { 're-sharded': 0.04, disaggregated: 0.13 } as const;

/**
 * How many times as long a rough estimate may be as the shortest one that was looked at closer: of longer ones looks
 * tell little.
 */
export const AS_NEAR = 1.3;

/**
 * As `LESS_CLOSELY`, for close estimates of compiled plans and those before compiling, with the same meshes and prefill
 * steps: 0.003 of 160.
 */
export const LESS_COMPILED = 0.003;

/**
 * Part by which a plan may take less than close estimates say together with the trial of another plan with the same
 * meshes, where the close estimates of the two differ by no more than `AS_LONG`: of 4,308 pairs of plans, whole and cut,
 * it is more for 75, and at most 0.014.
 */
export const LESS_TRIED = 0.005;
/**
 * The most by which a trial is taken to tell that others take longer than estimated: what takes longer by more does so for
 * sequences that are sent back, which others may be spared. Chosen for machines drawn at random: without it searches find
 * three fewer of 200 best plans.
 */
export const MOST_TOLD = 1.01;
/** Part by which close estimates may differ for a trial of one plan to tell of the other. */
export const AS_LONG = 0.003;

/**
 * Part by which a rough estimate may be less than that of another plan with a lower bound and the same mesh and batch
 * for decode, both with devices of its own for decode: that takes as long, roughly, whatever prefill is like, or longer
 * with a slower one. Of 6,933 such plans it is 0.0135 at most.
 */
export const LESS_ROUGHLY = 0.03;

/**
 * What is left, as a part of the time that a plan has, below which nothing is given up: of 73 plans the time so far and
 * the estimate of what is left were too long by 0.3% at most until then, and by up to 0.8% later.
 */
export const LITTLE_LEFT = 0.05;

/**
 * Part by which what estimates leave out may differ between plans that differ in batch or prefill steps alone: it is up
 * to 0.9%. A plan is not tried where its estimate is shorter than that of such a plan which was given up by no more
 * than the part by which that one was late, less this.
 */
export const UNLIKE = 0.01;
