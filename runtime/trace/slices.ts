/** A trace as it is read back: slices on lanes. */

/** A slice on its lane, which `process` and `thread` name. Rows of a lane that overlap count as one lane. */
export interface ReadSlice {
  readonly process: string;
  readonly thread: string;
  /** Row of its lane: slices of a row lie one after the other or within each other. */
  readonly row: number;
  readonly name: string;
  /** Seconds from the beginning of the trace. */
  readonly start: number;
  readonly end: number;
  readonly args: Readonly<Record<string, unknown>>;
}

/** A trace that has been read. */
export interface ReadTrace {
  /** Facts of its first event: plan, model, requests. */
  readonly about: Readonly<Record<string, unknown>>;
  readonly slices: readonly ReadSlice[];
  /** Facts of its last event; absent where the run was cut short. */
  readonly figures?: Readonly<Record<string, unknown>>;
}

/** Whether something that was read is an object with fields. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
