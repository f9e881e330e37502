/** Every rule over an assembled plan, in the order of their findings. */
import { dimsDivide } from './dims-divide.js';
import { flowReachesStages } from './flow-reaches-stages.js';
import { kvCrossesByTier } from './kv-crosses-by-tier.js';
import { kvFits } from './kv-fits.js';
import { movementsHaveRoutes } from './movements-have-routes.js';
import type { Rule } from './rule.js';
import { stagesShareAllOrNothing } from './stages-share-all-or-nothing.js';
import { tiersBesideDevices } from './tiers-beside-devices.js';
import { weightsFit } from './weights-fit.js';

export const RULES: readonly Rule[] = [
  dimsDivide,
  stagesShareAllOrNothing,
  flowReachesStages,
  weightsFit,
  kvFits,
  kvCrossesByTier,
  tiersBesideDevices,
  movementsHaveRoutes,
];
