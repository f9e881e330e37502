/**
 * How far the steps under way have come on each device. A step enters all its devices when it is given out and leaves
 * each once nothing of it is needed there any more; in between it says up to which op it has submitted its program. What
 * is to be written over a weight waits until the steps given out before are past the last op that reads it.
 */
import { overlaps } from '../../compiler/ir/weight-arena.js';
import type { Place } from './weight-arena.js';

/** Where a program's weight lies, and the index of the last op that reads it. */
export interface WeightUse {
  readonly place: Place;
  readonly last: number;
}

/** A step on its way through one device. */
export interface Passage {
  /** The first `ops` ops of its program are submitted. */
  advance(ops: number): void;
  /** Takes it off the device; may be called twice. */
  leave(): void;
}

/** The steps that were on a device at one moment. */
export interface Leaving {
  /**
   * Resolves when all of them are past their last use of what lies in the place; undefined when they are. Never
   * rejects.
   */
  past(place: Place): Promise<void> | undefined;
}

export interface Passages {
  /**
   * Enters a step of a residence.
   *
   * @param uses of every weight that the step's program reads on the device
   */
  enter(device: number, residence: string, uses: readonly WeightUse[]): Passage;
  /** The steps on the device now: those given out later are not waited for. */
  leaving(device: number): Leaving;
  /**
   * Resolves when no step of another residence that has entered the device so far is left there; undefined when none
   * is. Never rejects.
   */
  clearedOfOthers(device: number, residence: string): Promise<void> | undefined;
}

interface Inside {
  readonly residence: string;
  readonly left: Promise<void>;
  readonly uses: readonly WeightUse[];
  submitted: number;
  readonly waiting: Set<{ readonly last: number; readonly go: () => void }>;
}

/**
 * @param onBusy told when the first step enters a device that has none, and when the last has left it
 */
export function createPassages(onBusy: (device: number, busy: boolean) => void = () => undefined): Passages {
  const devices = new Map<number, Set<Inside>>();
  const on = (device: number): Set<Inside> => {
    const inside = devices.get(device) ?? new Set();
    devices.set(device, inside);
    return inside;
  };
  return {
    enter(device, residence, uses) {
      let goes: () => void = () => undefined;
      const left = new Promise<void>((resolve) => {
        goes = resolve;
      });
      const step: Inside = { residence, left, uses, submitted: 0, waiting: new Set() };
      on(device).add(step);
      if (on(device).size === 1) onBusy(device, true);
      const advance = (ops: number): void => {
        step.submitted = Math.max(step.submitted, ops);
        for (const waiter of [...step.waiting].filter(({ last }) => last < step.submitted)) {
          step.waiting.delete(waiter);
          waiter.go();
        }
      };
      return {
        advance,
        leave() {
          if (on(device).delete(step) && on(device).size === 0) onBusy(device, false);
          advance(Infinity);
          goes();
        },
      };
    },
    leaving(device) {
      const steps = [...on(device)];
      return {
        past(place) {
          const waits = steps.flatMap((step) => isPast(step, place) ?? []);
          return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
        },
      };
    },
    clearedOfOthers(device, residence) {
      const others = [...on(device)].filter((step) => step.residence !== residence);
      return others.length === 0
        ? undefined
        : Promise.all(others.map(({ left }) => left)).then(() => undefined);
    },
  };
}

function isPast(step: Inside, place: Place): Promise<void> | undefined {
  const last = Math.max(-1, ...step.uses.filter((use) => overlaps(use.place, place)).map((use) => use.last));
  if (last < step.submitted) return undefined;
  return new Promise((go) => step.waiting.add({ last, go }));
}
