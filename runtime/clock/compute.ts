/**
 * Devices that compute at the same time. Those of a kind with `shared` that stand in one group are one processor: each
 * keeps only a part of its speed while others compute, by the law that the kind declares. Work under way is timed anew
 * whenever other work begins or ends.
 *
 * State: for each piece of work the seconds that are left of it, were its devices alone, and its rate. A step's kernels
 * and its exchanges alternate many times, so other work counts with the part of its time in which it computes: the
 * kernels of a step are slowed by its own devices and that part of those of the others. What the host does for a step, with
 * copies on its devices, is slowed by that part of the others as one more device would be (or as `shared_host` has it):
 * while its own devices are at that they do not compute, and how long they take together is known.
 *
 * There is one host for all devices, or one for every replica (`hosts.ts`), which records kernels for one group at a time
 * and chooses the tokens of one. That is too little and too often to be followed, as well: what it does of that for a step
 * takes longer by as many others as are at it, or wait for it, in the mean. That is how long a queue with so many customers
 * is by mean value analysis, each found as it is without the one that comes (Schweitzer, 1979): it never does more than
 * there is time for.
 *
 * Example: devices that keep 50% when two compute. A step of 6 s kernels and 2 s exchanges on one device, beside one on
 * another that only computes, takes 6 / 50% + 2 / 50% = 16 s, or 14 s if the 2 s were a wait.
 */
import { groupBy } from '../../compiler/group-by.js';
import { numbered } from '../../compiler/numbered.js';
import type { DeviceKind, Topology } from '../../compiler/plan/plan.js';
import type { VirtualClock } from './virtual-clock.js';

/** Work on devices that slow each other down. */
export interface Compute {
  /** Whether other work may slow down work on these devices: they share a processor, or work waits for its host. */
  readonly isShared: (devices: readonly number[]) => boolean;
  /**
   * Begins some work on devices, and calls back at its end. The function that is returned says at what time on the
   * clock so many of its seconds are over, as far as is known by now.
   */
  readonly work: (work: SharedWork, done: (slowed: Slowdown) => void) => (seconds: number) => number;
}

/** Work on the devices of a group, in the seconds that it takes where nothing else goes on. */
export interface SharedWork {
  readonly devices: readonly number[];
  /** All seconds: what is neither `kernels` nor `host` is waiting. */
  readonly seconds: number;
  /** Seconds in which the devices compute. */
  readonly kernels: number;
  /** Seconds in which the host hands kernels over, exchanges or reads. */
  readonly host: number;
  /** The part of `host` in which the host does nothing for other groups. */
  readonly hosting: number;
}

/** Factors by which kernels, and what the host does, take longer than on devices that are alone. */
export interface Slowdown {
  readonly kernels: number;
  readonly host: number;
}

/** Nothing else computes. */
export const ALONE: Slowdown = { kernels: 1, host: 1 };

/** Work of so many seconds for which no device computes. */
export function hostOnly(seconds: number): Omit<SharedWork, 'devices'> {
  return { seconds, kernels: 0, host: seconds, hosting: 0 };
}

/** Work under way. */
interface Work extends Omit<SharedWork, 'devices'> {
  /** The host that works for it: the same for all where there is one. */
  readonly ofHost: unknown;
  /** How many of its devices are on each processor that is shared. */
  readonly on: ReadonlyMap<Processor, number>;
  /** Seconds that are left of it, were its devices alone, at time `at`. */
  left: number;
  at: number;
  /** How many of those seconds pass in a second on the clock. */
  rate: number;
  slowdown: Slowdown;
  /** Seconds so far in which its devices computed, and in which the host worked for it. */
  readonly spent: { kernels: number; host: number };
  /** The part of its time in which its devices compute. */
  computing: number;
  readonly done: (slowed: Slowdown) => void;
}

/** Devices of one kind and group that share a processor. */
interface Processor {
  /** Factor by which kernels take longer while so many devices compute, of which there may be fractions. */
  readonly slowdown: (devices: number) => number;
  /** The same of what the host does for one device, beside others that are all but one of so many. */
  readonly hostSlowdown: (devices: number) => number;
}

/** With work that wants nothing but the host, the first round is right already. */
const QUEUE_ROUNDS = 10;

/** What is left of work that is over but for rounding, as a part of it or of the time on the clock. */
const ROUNDING = 1e-12;

/**
 * @param keepsHost whether any work has `hosting` seconds, which others wait for
 * @param hostOf the host that works for these devices of a group; one for all by default
 */
export function createCompute(
  clock: VirtualClock,
  { devices }: Topology,
  keepsHost = false,
  hostOf: (devices: readonly number[]) => unknown = () => undefined,
): Compute {
  const processors = new Map<string, Processor>();
  const kindOf = numbered<DeviceKind>();
  const processorOf = devices.map(({ kind, group }): Processor | undefined => {
    if (kind.shared === undefined) return undefined;
    const key = `${kindOf(kind)} ${group}`;
    const known = processors.get(key) ?? {
      slowdown: slowdownBy(kind.shared),
      hostSlowdown: slowdownBy(kind.sharedHost ?? kind.shared),
    };
    processors.set(key, known);
    return known;
  });
  let under: Work[] = [];
  let since = 0;
  let timing = 0;

  /** Seconds per second alone, for a work that is slowed so much. */
  const rateOf = ({ seconds, kernels, host }: Work, slowdown: Slowdown): number =>
    seconds / (seconds - kernels - host + kernels * slowdown.kernels + host * slowdown.host);
  /** Of work beside so many devices of others. */
  const slowdownOf = ({ on }: Work, othersOn: (processor: Processor, own: number) => number): Slowdown => {
    let [kernels, host] = [1, 1];
    for (const [processor, own] of on) {
      const others = othersOn(processor, own);
      kernels = Math.max(kernels, processor.slowdown(own + others));
      host = Math.max(host, processor.hostSlowdown(1 + others));
    }
    return { kernels, host };
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
    for (const work of under) {
      const { seconds, kernels, host, rate, slowdown, spent } = work;
      const passed = (now - since) * rate;
      work.left -= passed;
      work.at = now;
      spent.kernels += (passed / seconds) * kernels * slowdown.kernels;
      spent.host += (passed / seconds) * host * slowdown.host;
    }
    since = now;
  };
  const timeAnew = (): void => {
    const all = sumOn(() => 1);
    for (const work of under) {
      const slowdown = slowdownOf(work, (processor, own) => all.get(processor)! - own);
      work.computing = (work.kernels * slowdown.kernels * rateOf(work, slowdown)) / work.seconds;
    }
    const computing = sumOn((work) => work.computing);
    for (const work of under) {
      work.slowdown = slowdownOf(work, (processor, own) => computing.get(processor)! - own * work.computing);
      work.rate = rateOf(work, work.slowdown);
    }
    queueForHosts();
    let next = Infinity;
    for (const { left, rate } of under) next = Math.min(next, Math.max(0, left) / rate);
    const mine = ++timing;
    if (under.length > 0)
      clock.at(since + next, () => {
        if (mine === timing) end();
      });
  };
  const queueForHosts = (): void => {
    const queuing = under.filter(({ hosting }) => hosting > 0);
    if (queuing.length < 2) return;
    for (const [, ofOne] of groupBy(queuing, ({ ofHost }) => ofHost)) queueForHost(ofOne);
  };
  /** How long works wait for each other at a host depends on how long they wait: some rounds come close enough. */
  const queueForHost = (queuing: readonly Work[]): void => {
    if (queuing.length < 2) return;
    const alone = queuing.map(({ slowdown }) => slowdown);
    /** The part of its time in which each has the host or waits for it. */
    let queued = queuing.map(() => 0);
    for (let round = 0; round < QUEUE_ROUNDS; round++) {
      const all = queued.reduce((sum, each) => sum + each, 0);
      queued = queuing.map((work, i) => {
        const { kernels, host } = alone[i]!;
        const others = all - queued[i]!;
        work.slowdown = { kernels, host: host + (others * work.hosting) / work.host };
        work.rate = rateOf(work, work.slowdown);
        return (work.hosting * (host + others) * work.rate) / work.seconds;
      });
    }
  };
  const end = (): void => {
    goOn();
    const ended = under.filter(({ left, seconds }) => left <= Math.max(seconds, since) * ROUNDING);
    under = under.filter((work) => !ended.includes(work));
    timeAnew();
    for (const { kernels, host, spent, done } of ended)
      done({
        kernels: kernels === 0 ? 1 : spent.kernels / kernels,
        host: host === 0 ? 1 : spent.host / host,
      });
  };
  return {
    isShared: (own) => keepsHost || own.some((device) => processorOf[device] !== undefined),
    work({ devices: own, seconds, kernels, host, hosting }, done) {
      if (seconds === 0) {
        const now = clock.now();
        clock.at(now, () => done(ALONE));
        return () => now;
      }
      const on = new Map<Processor, number>();
      for (const device of own) {
        const processor = processorOf[device];
        if (processor !== undefined) on.set(processor, (on.get(processor) ?? 0) + 1);
      }
      goOn();
      const timed = { left: seconds, rate: 1, slowdown: ALONE, computing: 0 };
      const work = {
        ofHost: hostOf(own),
        on,
        seconds,
        kernels,
        host,
        hosting,
        ...timed,
        spent: { kernels: 0, host: 0 },
        at: since,
        done,
      };
      under.push(work);
      timeAnew();
      return (passed) => work.at + (passed - (seconds - work.left)) / work.rate;
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
