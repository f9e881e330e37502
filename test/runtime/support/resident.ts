/** Resident weights by themselves: no other device, every weight as urgent as the next, no spare
 * memory unless said. */
import type { Device } from '../../../runtime/device/device.js';
import { createResidentWeights } from '../../../runtime/exec/resident-weights.js';
import type { ResidentWeights } from '../../../runtime/exec/resident-weights.js';
import type { MoveSpan } from '../../../runtime/exec/staging-ring.js';
import { createTurns } from '../../../runtime/exec/turns.js';
import type { Residence, TransitionsByResidence } from '../../../compiler/ir/weight-arena.js';
import type { WeightSource } from '../../../runtime/weights/weight-source.js';

export function residentWeights(
  device: Device,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  source: WeightSource,
  onMove?: (span: MoveSpan) => void,
  spare = 0,
): ResidentWeights {
  return createResidentWeights(device, residences, transitions, source, {
    spare,
    turns: createTurns(),
    urgency: () => 0,
    ...(onMove === undefined ? {} : { onMove }),
  });
}
