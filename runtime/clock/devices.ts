/**
 * Devices on the clock, each with one queue, as on a real one. A device does one thing at a time, in the order in which
 * things were given to it, but for what the host gives it bit by bit: between the kernels of a step that exchanges, its
 * queue is empty, and a page move that is given to it meanwhile is done there and then. Which steps have been given out
 * and not yet handed over is counted, because a transition begins behind them.
 */
export interface ClockDevices {
  /**
   * Occupies devices together: `begin` is called once all are done with what they were given before.
   *
   * @param inParts whether page moves may come between its parts
   */
  readonly run: (devices: readonly number[], inParts: boolean, begin: (work: DeviceWork) => void) => void;
  /** What has begun is over. */
  readonly over: (work: DeviceWork) => void;
  /** Seconds by which page moves have held it up since that was last asked. */
  readonly heldUp: (work: DeviceWork) => number;
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
export interface DeviceWork {
  readonly kind: 'whole' | 'in parts' | 'move';
  readonly devices: readonly number[];
  /** Queues in which something is before it. */
  behind: number;
  /** Called when it is. */
  readonly first: (work: DeviceWork) => void;
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

/** What there is to know of a device. Every step asks, so none of it is absent. */
interface DeviceState {
  /** Work given to it and not over. What does not wait for what is before it may be under way as well. */
  readonly queue: DeviceWork[];
  /** When its first work began, when its last was over; negative before that. */
  begun: number;
  ended: number;
  /** How much is under way on it, since when any is, and for how long any was before. */
  underWay: number;
  since: number;
  worked: number;
  /** Steps that have been given out and not left it. */
  inside: number;
  readonly waiting: Waiting[];
}

/**
 * @param now seconds on the clock
 */
export function createClockDevices(now: () => number): ClockDevices {
  const states: DeviceState[] = [];
  const stateOf = (device: number): DeviceState =>
    (states[device] ??= {
      queue: [],
      begun: -1,
      ended: -1,
      underWay: 0,
      since: 0,
      worked: 0,
      inside: 0,
      waiting: [],
    });
  const queued = (
    kind: DeviceWork['kind'],
    devices: readonly number[],
    first: DeviceWork['first'],
  ): DeviceWork => ({
    kind,
    devices,
    behind: 0,
    first,
    begun: false,
    held: 0,
    heldUntil: 0,
    end: 0,
  });
  const start = (work: DeviceWork): void => {
    work.begun = true;
    work.first(work);
  };
  const add = (work: DeviceWork): void => {
    for (const device of work.devices) {
      const { queue } = stateOf(device);
      if (work.kind === 'move' ? firstWhole(queue) !== undefined : queue.length > 0) work.behind++;
      queue.push(work);
    }
    if (work.behind === 0) start(work);
  };
  const remove = (work: DeviceWork): void => {
    let next: DeviceWork[] | undefined;
    for (const device of work.devices) {
      const { queue } = stateOf(device);
      const wasFirst = queue[0] === work;
      if (wasFirst) queue.shift();
      else queue.splice(queue.indexOf(work), 1);
      if (queue.length === 0) continue;
      const head = queue[0]!;
      if (wasFirst && head.kind !== 'move' && --head.behind === 0) (next ??= []).push(head);
      if (work.kind === 'in parts') continue;
      // A move waits for nothing but what is not in parts.
      const whole = firstWhole(queue);
      if (whole?.kind === 'move' && !whole.begun && --whole.behind === 0) (next ??= []).push(whole);
    }
    if (next !== undefined) for (const each of next) start(each);
  };
  const occupy = (work: DeviceWork): void => {
    const time = now();
    for (const device of work.devices) {
      const state = stateOf(device);
      if (state.begun < 0) state.begun = time;
      if (state.underWay++ === 0) state.since = time;
    }
  };
  const over = (work: DeviceWork): void => {
    const time = now();
    for (const device of work.devices) {
      const state = stateOf(device);
      state.ended = time;
      if (--state.underWay === 0) state.worked = state.worked + time - state.since;
    }
    remove(work);
  };
  return {
    run(devices, inParts, begin) {
      add(
        queued(inParts ? 'in parts' : 'whole', devices, (work) => {
          occupy(work);
          if (inParts)
            for (const device of devices)
              for (const { kind, begun, end } of stateOf(device).queue)
                if (kind === 'move' && begun) holdUp(work, now(), end);
          begin(work);
        }),
      );
    },
    movePages(device, begin) {
      add(
        queued('move', [device], (work) => {
          occupy(work);
          work.end = begin(() => over(work));
          const head = stateOf(device).queue[0]!;
          if (head.kind === 'in parts' && head.begun) holdUp(head, now(), work.end);
        }),
      );
    },
    over,
    heldUp(work) {
      const { held } = work;
      work.held = 0;
      return held;
    },
    span(device) {
      const { begun, ended } = stateOf(device);
      return begun < 0 ? undefined : { start: begun, end: ended < 0 ? begun : ended };
    },
    occupied(device) {
      const { worked, underWay, since } = stateOf(device);
      return worked + (underWay === 0 ? 0 : now() - since);
    },
    enter(devices) {
      for (const device of devices) stateOf(device).inside++;
    },
    leave(devices) {
      for (const device of devices) {
        const state = stateOf(device);
        const { waiting } = state;
        state.inside--;
        if (waiting.length === 0) continue;
        // Steps leave in the order they entered, so one that leaves was there before those waiting.
        for (const each of waiting) each.left--;
        while (waiting[0]?.left === 0) waiting.shift()!.cleared();
      }
    },
    whenCleared(device, cleared) {
      const { inside, waiting } = stateOf(device);
      // Moves need not wait for a moment to have come.
      const wait = (): void =>
        add(
          queued('in parts', [device], (moment) => {
            remove(moment);
            cleared();
          }),
        );
      if (inside === 0) wait();
      else waiting.push({ left: inside, cleared: wait });
    },
  };
}

/** The first of a queue that is not in parts. */
function firstWhole(queue: readonly DeviceWork[]): DeviceWork | undefined {
  for (const work of queue) if (work.kind !== 'in parts') return work;
  return undefined;
}

/** Moves of different devices hold up what these do together once while they overlap. */
function holdUp(work: DeviceWork, from: number, until: number): void {
  work.held += Math.max(0, until - Math.max(from, work.heldUntil));
  work.heldUntil = Math.max(work.heldUntil, until);
}
