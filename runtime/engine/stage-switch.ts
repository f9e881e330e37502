/** How the devices of a group change from the weights of one stage to those of another. */
import type { Origin } from '../../compiler/diagnostics/diagnostic.js';
import type { DeviceMoves, RuntimeTransition } from '../../compiler/ir/runtime-graph.js';
import { transitionBetween } from '../../compiler/ir/residences.js';
import type { StageResidence } from '../../compiler/ir/residences.js';
import type { TraceWeight } from '../exec/resident-weights.js';
import type { TransitionMode } from '../scheduler/types.js';
import { deviceLane } from '../trace/tracer.js';
import type { TraceLane } from '../trace/tracer.js';
import type { StageGround } from './open-stages.js';
import type { PrepareOptions } from './prepare.js';

export interface StageSwitch {
  /**
   * Begins the uploads of the transition that the group will make next, as far as there is memory for what no device
   * has a place for yet. Once between two transitions.
   */
  prepareSwitch(from: string, to: string): void;
  /**
   * Carries out a transition on all devices of a group: each weight is moved when the steps given out before are past
   * what lies in its place, and steps given out later wait for the weights they use. Resolves with the bytes uploaded once all
   * moves are enqueued, as a barrier once they are done.
   */
  switchTo(from: string, to: string, mode: TransitionMode): Promise<number>;
}

/** A transition of a group to a residence. */
interface Change extends StageResidence, Pick<RuntimeTransition, 'origin'> {
  readonly devices: readonly { readonly device: number; readonly moves: DeviceMoves }[];
}

export function createStageSwitch(
  { graph, devices, tracer, verifyMoves }: PrepareOptions,
  { residences, weights, exposures, passages, pathOf }: Omit<StageGround, 'pools'>,
): StageSwitch {
  const change = (from: string, to: string): Change => {
    const transition = transitionBetween(graph, residences, from, to);
    if (transition === undefined) throw new Error(`no transition from ${from} to ${to}`);
    const changing = transition.devices.map(({ device, moves }) => ({
      device,
      moves: transition.moves[moves]!,
    }));
    return { ...residences.get(to)!, devices: changing, origin: transition.origin };
  };
  const traceOn =
    (lane: TraceLane, origin: Origin): TraceWeight =>
    (weight, args) =>
      tracer.begin(lane, weight, { ...args, origin });
  /** Ends the slice of what is prefetched, by device. */
  const prefetching = new Map<number, () => void>();
  return {
    prepareSwitch(from, to) {
      const { residence, devices: changing, origin } = change(from, to);
      for (const { device, moves } of changing) {
        const lane = deviceLane(pathOf(device), 'weights');
        const slice = tracer.begin(lane, `prefetch ${from} -> ${to}`, { origin });
        const prefetch = weights.get(device)!.prepare(residence, moves, traceOn(lane, origin));
        prefetching.set(device, () => slice.end({ bytes: prefetch.bytes() }));
      }
    },
    async switchTo(from, to, mode) {
      const { residence, group, devices: changing, origin } = change(from, to);
      const end = exposures.get(group)!.transition();
      try {
        const uploaded = await Promise.all(
          changing.map(async ({ device, moves }) => {
            prefetching.get(device)?.();
            prefetching.delete(device);
            const lane = deviceLane(pathOf(device), 'weights');
            const slice = tracer.begin(lane, `${from} -> ${to}`, { origin });
            const steps = passages.leaving(device);
            const bytes = await weights
              .get(device)!
              .transition(residence, moves, steps, traceOn(lane, origin));
            slice.end({ bytes });
            if (mode === 'barrier') await devices.get(device)!.idle();
            if (verifyMoves) await weights.get(device)!.verify();
            return bytes;
          }),
        );
        return uploaded.reduce((sum, bytes) => sum + bytes, 0);
      } finally {
        end();
      }
    },
  };
}
