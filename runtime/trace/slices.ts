/** A trace as it is read back: slices on lanes. */

/** A slice on its lane. Rows of a lane that overlap count as one lane. */
export interface ReadSlice {
  readonly process: string;
  readonly thread: string;
  readonly name: string;
  /** Seconds. */
  readonly start: number;
  readonly end: number;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface ReadTrace {
  /** Facts of its first event: plan, model. */
  readonly about: Readonly<Record<string, unknown>>;
  readonly slices: readonly ReadSlice[];
}
