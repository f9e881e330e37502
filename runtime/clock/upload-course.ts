/**
 * Uploads of a transition on one device, as its ring of staging slots carries them (`runtime/exec/staging-ring.ts`): a slot
 * is free again when the device has copied out of it, and a copy stands behind the kernels that were given to the device
 * before. While those run, uploads get as far ahead as the ring has room.
 *
 * State: bytes uploaded over time as if nothing held them up, how long kernels have by now, and what kernels under way let
 * through.
 */

/** A layer on its way to the device. */
export interface UploadedLayer {
  readonly layer: number | undefined;
  /** Bytes that the device uploads up to the end of it. */
  readonly bytes: number;
  /** When it is there if nothing holds it up; no sooner than the one before. */
  readonly time: number;
}

export interface UploadCourse {
  /**
   * When a layer is there: kernels that need it may be given to the device. At once where it is not on its way. In the
   * order of layers.
   */
  readonly arrival: (layer: number | undefined) => number;
  /** Kernels are given to the device at a time, which keep it until another. In order, each behind what it waits for. */
  readonly give: (at: number, until: number) => void;
  /** When the last layer is there. */
  readonly end: () => number;
  /** How much later than if nothing had held it up a layer was there. */
  readonly delay: (layer: number | undefined) => number;
}

/** Uploads get no further than so many bytes until some time. */
interface Hold {
  readonly bytes: number;
  readonly until: number;
}

/**
 * @param begin when uploads go on, with so many bytes near: their places may be written from then on
 * @param ring bytes that slots hold
 */
export function createUploadCourse(
  { begin, near, ring }: { readonly begin: number; readonly near: number; readonly ring: number },
  layers: readonly UploadedLayer[],
): UploadCourse {
  const points = [
    { bytes: near, time: begin },
    ...layers.map(({ bytes, time }) => ({ bytes: Math.max(near, bytes), time })),
  ];
  const places = new Map(layers.map(({ layer }, place) => [layer, place]));
  const delays = layers.map((): number | undefined => undefined);
  /** So far. */
  let stall = 0;
  let holds: readonly Hold[] = [];
  /** When so many bytes are uploaded if nothing holds them up. */
  const timeOf = (bytes: number): number => {
    const place = points.findIndex((each) => each.bytes >= bytes);
    if (place <= 0) return begin;
    const [from, to] = [points[place - 1]!, points[place]!];
    return from.time + ((bytes - from.bytes) / (to.bytes - from.bytes)) * (to.time - from.time);
  };
  const uploadedBy = (time: number): number => {
    const place = points.findIndex((each) => each.time > time);
    if (place === 0) return near;
    if (place < 0) return points.at(-1)!.bytes;
    const [from, to] = [points[place - 1]!, points[place]!];
    return from.bytes + ((time - from.time) / (to.time - from.time)) * (to.bytes - from.bytes);
  };
  /** Stalls up to so many bytes, with those to come. */
  const stallAt = (bytes: number): number =>
    holds.reduce(
      (sum, hold) => (hold.bytes < bytes ? sum + Math.max(0, hold.until - timeOf(hold.bytes) - sum) : sum),
      stall,
    );
  const last = layers.at(-1);
  return {
    arrival(layer) {
      const place = places.get(layer);
      if (place === undefined) return begin;
      const { bytes, time } = layers[place]!;
      stall = stallAt(bytes);
      holds = holds.filter((hold) => hold.bytes >= bytes);
      delays[place] ??= stall;
      return time + stall;
    },
    give(at, until) {
      holds = holds.filter((hold) => hold.until > at);
      const most = holds.reduce((least, { bytes }) => Math.min(least, bytes), uploadedBy(at - stall));
      holds = [...holds, { bytes: most + ring, until }];
    },
    end: () => (last === undefined ? begin : last.time + stallAt(last.bytes)),
    delay: (layer) => delays[places.get(layer) ?? -1] ?? stall,
  };
}
