/**
 * The numbers in estimates of plans that are fitted or chosen, not derived: what each covers, and of what it was measured.
 * An estimate that is too long may cost the best plan, and one that is too short a simulation, so that margins keep
 * estimates rather short. `npm run bench:estimates` shows how close whole estimates come for the machines, models and
 * workloads of plans/seesaw (docs/tuning.md); of single numbers it shows nothing, but where that is said.
 */

/**
 * Part of the course of a stage for both phases that is its estimate, of its seconds and of the time between tokens. As
 * measured of fused plans for the paper's machines, models and workloads, and not proven: nine tenths take longer than the
 * estimate by 0.1% or more, half by 0.3 to 0.4% or more. Some are too long all the same, as with two replicas: one plan takes
 * 1.5% less. `bench:estimates` measures it.
 */
export const FUSED_COURSE_MARGIN = 0.997;

/**
 * Part of the rough seconds of prompts and decode side by side that is their estimate. What it was measured of is not
 * recorded; `bench:estimates` shows how close rough estimates come with it.
 */
export const SIDE_BY_SIDE_MARGIN = 0.97;

/** Part of the seconds of a KV page from hosts to hosts that is their estimate. What it was measured of is not recorded. */
export const BETWEEN_HOSTS_MARGIN = 0.98;

/**
 * Part of the rough waits between stages on devices of their own that is their estimate: of some 240 small plans on random
 * machines 6 have less than nine tenths of the estimate so, and 13 without it. Nothing here makes those plans again.
 */
export const DISAGGREGATED_WAIT_MARGIN = 0.85;

/**
 * Part of the rough waits between stages that take turns that is their estimate: of some 100 plans for the paper's
 * machines, models and workloads none waits less than 0.75 of what they are worked out to. Nothing here makes those
 * plans again.
 */
export const TURN_WAIT_MARGIN = 0.7;

/**
 * Fraction of the way of a step with prompts through the pipeline that the steps behind it wait for, in rough estimates:
 * some of these waits are short, and some fall together. Of all of it courses of plans for the paper's machines, models
 * and workloads show 0.8 and more; where lengths are even it may be no more than this. Nothing here measures it again.
 */
export const MIXED_STEP_WAIT = 0.5;

/**
 * Fraction of the time by which a replica's round is shorter than that of the slowest replica of its host that is added
 * to it. A host prepares one step at a time: a replica that has caught up with a slower one of the same host waits for
 * it in every round from then on, so that a part of the difference shows in the mean. With this 63 courses with
 * replicas (m15b on four A100, all of sharegpt) differ by -0.7 to +0.6% from those that go step by step, and by -1.5 to
 * +0.8% without. Nothing here makes those courses step by step.
 */
export const HELD_UP_BY_SLOWEST = 0.5;

/**
 * Fraction of a page move's time that delays a device whose steps have exchanges, and any that decodes. The rest
 * overlaps exchanges and host work. What it was measured of is not recorded.
 */
export const SHOWN_MOVES = 0.75;
