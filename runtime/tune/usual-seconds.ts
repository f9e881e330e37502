/** Seconds that plans take as a rule, where they are not simulated. */
import type { Bounded } from './closer-look.js';
import { CLOSELY_USUAL, ROUGHLY_USUAL } from './estimate-margins.js';

type Estimated = Pick<Bounded, 'candidate' | 'estimate' | 'estimated'>;

/** Seconds that a plan takes by its estimate, as a rule. */
export function usualSeconds(each: Estimated): number {
  return each.estimate * asARule(each);
}

/** Factor of what plans take to their estimates. */
function asARule({ candidate: { strategy, stages }, estimated }: Estimated): number {
  if (estimated === 'closely') return CLOSELY_USUAL;
  const { pipeline, noPipeline } = ROUGHLY_USUAL[strategy];
  return stages.at(-1)!.mesh.pp > 1 ? pipeline : noPipeline;
}
