/** Plans with the same rough estimates: a closer look at one of them says enough of the others. */
import { once } from '../../compiler/once.js';
import { placeOf } from './candidate-order.js';
import type { Bounded } from './closer-look.js';
import { stepKeys } from './mesh-key.js';

type Estimated = Pick<Bounded, 'candidate' | 'index' | 'estimate' | 'between' | 'estimated'>;

/** Plans with the same meshes, prefill steps and rough estimates: they differ in hardly anything that is reached. */
export interface Twins {
  /**
   * Of the plans like it the first, that with the least batch. It stands for all of them: no other is looked at any
   * more.
   */
  readonly first: <Each extends Estimated>(each: Each, plans: readonly Each[]) => Each;
  /** Whether no plan like it has been looked at. */
  readonly isNew: (each: Estimated) => boolean;
}

/** Begins with no plan looked at. */
export function twinsByEstimate(): Twins {
  const stepsOf = stepKeys();
  const keyOf = once(({ candidate, estimate, between }: Estimated) =>
    [stepsOf(candidate), placeOf(estimate), placeOf(between)].join(),
  );
  const isRough = ({ estimated }: Estimated): boolean => estimated === 'roughly';
  const lookedAt = new Set<string>();
  return {
    first(each, plans) {
      if (!isRough(each)) return each;
      const key = keyOf(each);
      lookedAt.add(key);
      const alike = plans.filter((other) => isRough(other) && keyOf(other) === key);
      return alike.reduce((first, other) => (other.index < first.index ? other : first));
    },
    isNew: (each) => !isRough(each) || !lookedAt.has(keyOf(each)),
  };
}
