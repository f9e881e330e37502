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
