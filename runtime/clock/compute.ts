/**
 * Devices that compute at the same time. Those of a kind with `shared` that stand in one group are one processor: each
 * keeps only a part of its speed while others compute, by the law that the kind declares. Work under way is timed anew
 * whenever other work begins or ends.
 *
 * State: for each piece of work the seconds that are left of it, were its devices alone, and its rate. A step's kernels
 * and its exchanges alternate many times, so other work counts with the part of its time in which it computes: the
 * kernels of a step are slowed by its own devices and that part of those of the others.
 *
 * Example: devices that keep 50% when two compute. A step of 6 s kernels and 2 s exchanges on one device, beside one on
 * another that only computes, takes 6 / 50% + 2 = 14 s.
 */
import type { DeviceKind, Topology } from '../../compiler/plan/plan.js';
import type { VirtualClock } from './virtual-clock.js';

export interface Compute {
  /** Whether any of the devices has a processor that it shares. */
  readonly isShared: (devices: readonly number[]) => boolean;
  /**
   * Works on devices for so many seconds, were they alone, in `kernels` of which they compute; calls back at the end.
   */
  readonly work: (devices: readonly number[], seconds: number, kernels: number, done: () => void) => void;
}

interface Work {
  /** Devices by processor. */
  readonly on: ReadonlyMap<Processor, number>;
  readonly seconds: number;
  readonly kernels: number;
  /** Seconds that are left, were its devices alone. */
  left: number;
  /** How many of those pass in a second. */
  rate: number;
  /** The part of its time in which its devices compute. */
  computing: number;
  readonly done: () => void;
}

interface Processor {
  /** By how much kernels take longer while so many devices compute, of which there may be fractions. */
  readonly slowdown: (devices: number) => number;
}

/** What is left of work that is over but for rounding, as a part of it or of the time on the clock. */
const ROUNDING = 1e-12;

export function createCompute(clock: VirtualClock, { devices }: Topology): Compute {
  const processors = new Map<string, Processor>();
  const processorOf = devices.map(({ kind, group }): Processor | undefined => {
    if (kind.shared === undefined) return undefined;
    const key = `${kind.name} ${group}`;
    const known = processors.get(key) ?? { slowdown: slowdownBy(kind.shared) };
    processors.set(key, known);
    return known;
  });
  let under: Work[] = [];
  let since = 0;
  let timing = 0;

  /** Seconds per second alone, for a work that is slowed so much. */
  const rateOf = ({ seconds, kernels }: Work, slowdown: number): number =>
    seconds / (seconds - kernels + kernels * slowdown);
  const slowest = ({ on }: Work, devicesOn: (processor: Processor, own: number) => number): number => {
    let most = 1;
    for (const [processor, own] of on) most = Math.max(most, processor.slowdown(devicesOn(processor, own)));
    return most;
  };
  const sumOn = (part: (work: Work) => number): ReadonlyMap<Processor, number> => {
    const sums = new Map<Processor, number>();
    for (const work of under)
      for (const [processor, own] of work.on)
        sums.set(processor, (sums.get(processor) ?? 0) + own * part(work));
    return sums;
  };
  const goOn = (): void => {
    const now = clock.now();
    for (const work of under) work.left -= (now - since) * work.rate;
    since = now;
  };
  const timeAnew = (): void => {
    const all = sumOn(() => 1);
    for (const work of under) {
      const slowdown = slowest(work, (processor) => all.get(processor)!);
      work.computing = (work.kernels * slowdown * rateOf(work, slowdown)) / work.seconds;
    }
    const computing = sumOn((work) => work.computing);
    let next = Infinity;
    for (const work of under) {
      work.rate = rateOf(
        work,
        slowest(work, (processor, own) => own + computing.get(processor)! - own * work.computing),
      );
      next = Math.min(next, Math.max(0, work.left) / work.rate);
    }
    const mine = ++timing;
    if (under.length > 0)
      clock.at(since + next, () => {
        if (mine === timing) end();
      });
  };
  const end = (): void => {
    goOn();
    const ended = under.filter(({ left, seconds }) => left <= Math.max(seconds, since) * ROUNDING);
    under = under.filter((work) => !ended.includes(work));
    timeAnew();
    for (const { done } of ended) done();
  };
  return {
    isShared: (own) => own.some((device) => processorOf[device] !== undefined),
    work(own, seconds, kernels, done) {
      if (seconds === 0) {
        clock.at(clock.now(), done);
        return;
      }
      const on = new Map<Processor, number>();
      for (const device of own) {
        const processor = processorOf[device];
        if (processor !== undefined) on.set(processor, (on.get(processor) ?? 0) + 1);
      }
      goOn();
      under.push({ on, seconds, kernels, left: seconds, rate: 1, computing: 0, done });
      timeAnew();
    },
  };
}

/**
 * The slowdown by the law that a kind declares. Between two numbers of devices what all of them do together is
 * interpolated, which for one processor that they divide up is the same for any number; beyond the last it stays.
 */
export function slowdownBy(shared: NonNullable<DeviceKind['shared']>): Processor['slowdown'] {
  const known = Object.entries(shared)
    .map(([count, kept]): readonly [number, number] => [Number(count), Number(count) * kept])
    .filter(([count]) => count > 1)
    .sort((a, b) => a[0] - b[0]);
  const points: readonly (readonly [devices: number, together: number])[] = [[1, 1], ...known];
  return (devices) => {
    if (devices <= 1) return 1;
    const above = points.findIndex(([count]) => count >= devices);
    if (above < 0) return devices / points.at(-1)![1];
    const [[low, least], [high, most]] = [points[above - 1]!, points[above]!];
    const together = least + ((most - least) * (devices - low)) / (high - low);
    return devices / together;
  };
}
