import { noSeconds } from '../../compiler/cost/program-cost.js';
import type { DeviceTime } from '../../runtime/clock/simulation.js';

/** A device that moves pages for a part of a second, and is idle for the rest. */
export function movingPages(id: number, pages: number): DeviceTime {
  return {
    id,
    device: `gpu[${id}]`,
    seconds: noSeconds(),
    exposedTransition: 0,
    pages,
    idle: 1 - pages,
    bubbles: 0,
    peak: { weights: 1, workspace: 1, kv: 1, total: 3 },
    budget: 4,
  };
}
