/**
 * Devices on the clock, each with one queue, as on a real one. A device does one thing at a time, in the order in which
 * things were given to it, but for what the host gives it bit by bit: between the kernels of a step that exchanges, its
 * queue is empty, and a page move that is given to it meanwhile is done there and then. Which steps have been given out
 * and not yet handed over is counted, because a transition begins behind them.
 */
export interface ClockDevices {
  /**
   * Occupies devices together: `begin` is called once all are done with what they were given before, with what is to be
   * called when this is over, and with what tells by how many seconds page moves have held it up since that was last
   * asked.
   *
   * @param inParts whether page moves may come between its parts
   */
  readonly run: (
    devices: readonly number[],
    inParts: boolean,
    begin: (over: () => void, heldUp: () => number) => void,
  ) => void;
  /**
   * Occupies a device for a page move: `begin` is called as soon as no other move is under way there, and nothing given
   * before is left that is not in parts. It says when the move will be over.
   */
  readonly movePages: (device: number, begin: (over: () => void) => number) => void;
  /** From the device's first work to its last; undefined where it never had any. */
  readonly span: (device: number) => { readonly start: number; readonly end: number } | undefined;
  /** Seconds so far in which it had work under way. */
  readonly occupied: (device: number) => number;
  /** A step that will pass these devices has been given out. */
  readonly enter: (devices: readonly number[]) => void;
  /** All of it has been handed to them. */
  readonly leave: (devices: readonly number[]) => void;
  /**
   * Calls back when every step given out so far has been handed to the device and it is done with all that it was given
   * by then: at once if nothing is under way.
   */
  readonly whenCleared: (device: number, cleared: () => void) => void;
}

/** Work that waits until it is first in the queues of all its devices. */
interface Queued {
  readonly kind: 'whole' | 'in parts' | 'move';
  readonly devices: readonly number[];
  /** Queues in which something is before it. */
  behind: number;
  /** Called when it is. */
  readonly first: () => void;
  begun: boolean;
  /** Of work in parts: seconds of moves that have held it up, and until when the last of them does. */
  held: number;
  heldUntil: number;
  /** Of a move that has begun. */
  end: number;
}

interface Waiting {
  /** Steps that must still leave. */
  left: number;
  readonly cleared: () => void;
}

/**
 * @param now seconds on the clock
 */
export function createClockDevices(now: () => number): ClockDevices {
  /** Work given to each device and not over. What does not wait for what is before it may be under way as well. */
  const queues: Queued[][] = [];
  // By device. Every step passes here for each of its devices.
  const begun: number[] = [];
  const ended: number[] = [];
  const underWay: number[] = [];
  const worked: number[] = [];
  const since: (number | undefined)[] = [];
  const inside: number[] = [];
  const waiting: Waiting[][] = [];
  const queued = (kind: Queued['kind'], devices: readonly number[], first: () => void): Queued => ({
    ...{ kind, devices, behind: 0, first },
    ...{ begun: false, held: 0, heldUntil: 0, end: 0 },
  });
  const start = (work: Queued): void => {
    work.begun = true;
    work.first();
  };
  const add = (work: Queued): void => {
    for (const device of work.devices) {
      const others = (queues[device] ??= []);
      const waits = work.kind === 'move' ? others.some(({ kind }) => kind !== 'in parts') : others.length > 0;
      others.push(work);
      if (waits) work.behind++;
    }
    if (work.behind === 0) start(work);
  };
  const remove = (work: Queued): void => {
    const next: Queued[] = [];
    for (const device of work.devices) {
      const others = queues[device]!;
      const at = others.indexOf(work);
      others.splice(at, 1);
      const head = others[0];
      if (at === 0 && head !== undefined && head.kind !== 'move' && --head.behind === 0) next.push(head);
      if (work.kind === 'in parts') continue;
      // A move waits for nothing but what is not in parts.
      const whole = others.find(({ kind }) => kind !== 'in parts');
      if (whole?.kind === 'move' && !whole.begun && --whole.behind === 0) next.push(whole);
    }
    for (const each of next) start(each);
  };
  /** Moves of different devices hold up what these do together once while they overlap. */
  const holdUp = (work: Queued, from: number, until: number): void => {
    work.held += Math.max(0, until - Math.max(from, work.heldUntil));
    work.heldUntil = Math.max(work.heldUntil, until);
  };
  const occupy = (devices: readonly number[]): void => {
    const start = now();
    for (const device of devices) {
      begun[device] ??= start;
      const others = (underWay[device] ??= 0);
      if (others === 0) since[device] = start;
      underWay[device] = others + 1;
    }
  };
  const over = (work: Queued): void => {
    const end = now();
    for (const device of work.devices) {
      ended[device] = end;
      if (--underWay[device]! > 0) continue;
      worked[device] = (worked[device] ?? 0) + end - since[device]!;
      since[device] = undefined;
    }
    remove(work);
  };
  return {
    run(devices, inParts, begin) {
      const work = queued(inParts ? 'in parts' : 'whole', devices, () => {
        occupy(devices);
        if (inParts)
          for (const device of devices)
            for (const { kind, begun: moves, end } of queues[device]!)
              if (kind === 'move' && moves) holdUp(work, now(), end);
        begin(
          () => over(work),
          () => {
            const { held } = work;
            work.held = 0;
            return held;
          },
        );
      });
      add(work);
    },
    movePages(device, begin) {
      const work = queued('move', [device], () => {
        occupy([device]);
        work.end = begin(() => over(work));
        const head = queues[device]![0]!;
        if (head.kind === 'in parts' && head.begun) holdUp(head, now(), work.end);
      });
      add(work);
    },
    span(device) {
      const first = begun[device];
      return first === undefined ? undefined : { start: first, end: ended[device] ?? first };
    },
    occupied(device) {
      const start = since[device];
      return (worked[device] ?? 0) + (start === undefined ? 0 : now() - start);
    },
    enter(devices) {
      for (const device of devices) inside[device] = (inside[device] ?? 0) + 1;
    },
    leave(devices) {
      for (const device of devices) {
        inside[device]!--;
        // Steps leave in the order they entered, so one that leaves was there before those waiting.
        const others = waiting[device];
        if (others === undefined) continue;
        for (const each of others) each.left--;
        while (others[0]?.left === 0) others.shift()!.cleared();
      }
    },
    whenCleared(device, cleared) {
      const left = inside[device] ?? 0;
      const wait = (): void => {
        // Moves need not wait for a moment to have come.
        const moment = queued('in parts', [device], () => {
          remove(moment);
          cleared();
        });
        add(moment);
      };
      if (left === 0) wait();
      else (waiting[device] ??= []).push({ left, cleared: wait });
    },
  };
}
