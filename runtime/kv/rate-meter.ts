/** A running estimate of bytes per second over the time in which transfers of a kind were under way. */

export interface RateMeter {
  /** Notes that a transfer begins; the result ends it with the bytes it moved. */
  begin(): (bytes: number) => void;
  /** Bytes per second; undefined before anything moved. */
  readonly rate: () => number | undefined;
}

/** What lies so many bytes back counts half. */
const HALF_LIFE_BYTES = 256 * 1024 * 1024;

/**
 * State: bytes and busy seconds, both fading as bytes move, so that their quotient is a mean weighted to the present.
 * Transfers that overlap share the time: two at once at 1 GB/s each are 2 GB/s.
 *
 * @param now milliseconds
 */
export function createRateMeter(now: () => number = () => performance.now()): RateMeter {
  let active = 0;
  let since = 0;
  let bytes = 0;
  let seconds = 0;
  const settle = (): void => {
    const at = now();
    if (active > 0) seconds += (at - since) / 1000;
    since = at;
  };
  return {
    begin() {
      settle();
      active++;
      return (moved) => {
        settle();
        active--;
        const fade = 0.5 ** (moved / HALF_LIFE_BYTES);
        bytes = (bytes + moved) * fade;
        seconds *= fade;
      };
    },
    rate: () => (bytes > 0 && seconds > 0 ? bytes / seconds : undefined),
  };
}
