/** Clocks that count wall time while something is under way. */

/** Wall-clock seconds during which at least one activity of a kind was under way. */
export interface BusyClock {
  begin(): void;
  end(): void;
  readonly seconds: () => number;
}

export function createBusyClock(now: () => number = () => performance.now()): BusyClock {
  let active = 0;
  let since = 0;
  let total = 0;
  return {
    begin() {
      if (active++ === 0) since = now();
    },
    end() {
      if (--active === 0) total += now() - since;
    },
    seconds: () => (total + (active > 0 ? now() - since : 0)) / 1000,
  };
}

/** Seconds of transitions in which nothing was computed meanwhile. */
export interface ExposureClock {
  /** Begins a transition; the result ends it. */
  transition(): () => void;
  /** Begins a computation; the result ends it and may be called twice. */
  compute(): () => void;
  readonly seconds: () => number;
}

export function createExposureClock(now: () => number = () => performance.now()): ExposureClock {
  let transitions = 0;
  let computing = 0;
  let since: number | undefined;
  let total = 0;
  const change = (): void => {
    const exposed = transitions > 0 && computing === 0;
    if (exposed && since === undefined) since = now();
    if (!exposed && since !== undefined) {
      total += now() - since;
      since = undefined;
    }
  };
  return {
    transition() {
      transitions++;
      change();
      return () => {
        transitions--;
        change();
      };
    },
    compute() {
      let running = true;
      computing++;
      change();
      return () => {
        if (running) computing--;
        running = false;
        change();
      };
    },
    seconds: () => (total + (since === undefined ? 0 : now() - since)) / 1000,
  };
}
