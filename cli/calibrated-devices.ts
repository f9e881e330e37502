/** How many devices a calibration opens. */

/** More are opened one after the other for minutes, of which none shows anything. */
export const MOST_DEVICES = 64;

/** What may say how many devices to measure. */
export interface DevicesWanted {
  /** What the command line names. */
  readonly named?: number;
  /** The plan of `--like`. */
  readonly plan?: { readonly name: string; readonly devices: number };
  /** The calibration that is replaced. */
  readonly earlier?: number;
}

/**
 * As many as the command line names, the plan has or an earlier calibration measured. A plan that imports the topology
 * must find its devices there: `note` says where they are too few.
 */
export function devicesToMeasure({ named, plan, earlier }: DevicesWanted): {
  readonly count: number;
  readonly note?: string;
} {
  const count = named ?? Math.min(MOST_DEVICES, plan?.devices ?? earlier ?? 1);
  return plan === undefined || plan.devices <= count
    ? { count }
    : {
        count,
        note: `plan ${plan.name} has ${plan.devices} devices: a topology of ${count} has no room for all its stages`,
      };
}
