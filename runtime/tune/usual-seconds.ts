/** Seconds that plans take as a rule, where they are not simulated. */
import type { Bounded } from './closer-look.js';

type Estimated = Pick<Bounded, 'candidate' | 'estimate' | 'estimated'>;

/** Seconds that a plan takes by its estimate, as a rule. */
export function usualSeconds(each: Estimated): number {
  return each.estimate * asARule(each);
}

/**
 * Factor of what plans take to their estimates: the median over some 1,000 plans for the paper's machines, models and
 * workloads, and of rough estimates over some 250, cut to 400 requests. Of static pipelines that are estimated roughly
 * it is the median over the best one of each search for these.
 */
function asARule({ candidate: { strategy, stages }, estimated }: Estimated): number {
  if (estimated === 'closely') return 1.003;
  if (strategy === 'static') return stages[0]!.mesh.pp > 1 ? 1.1 : 1.045;
  if (strategy === 'disaggregated') return 1.21;
  return stages.at(-1)!.mesh.pp > 1 ? 1.08 : 1.05;
}
