/** What transitions on the clock need around them: lanes of their own, nothing ahead and slots of a byte. */
import type { Topology } from '../../../compiler/plan/plan.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { createLanes } from '../../../runtime/clock/lanes.js';
import { createVirtualClock } from '../../../runtime/clock/virtual-clock.js';
import type { MoveContext } from '../../../runtime/clock/weights.js';

export function moveContext(topology: Topology, options: Partial<MoveContext> = {}): MoveContext {
  const clock = createVirtualClock();
  return {
    clock,
    lanes: createLanes(roadsOf(topology), clock.now),
    room: () => ({ slot: 1, ring: 0, ahead: 0 }),
    copyEngines: false,
    fullReload: false,
    onStaged: () => undefined,
    ...options,
  };
}
