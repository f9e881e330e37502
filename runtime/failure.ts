/**
 * An expected failure at run time: a bad file, a bad request, a lost device. It carries a stable code of the FC09
 * range and the thing it is about, and never means a bug in Fulcrum.
 */
export class RuntimeFailure extends Error {
  constructor(
    readonly code: `FC09${string}`,
    message: string,
    readonly details: {
      /** File, tensor, request or device the failure is about. */
      readonly subject?: string;
      readonly help?: string;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: details.cause });
    this.name = 'RuntimeFailure';
  }
}
