/** Why one request of a batch cannot be served. It becomes an error line and never stops the others. */
export interface RequestError {
  /** Stable, machine-readable (`invalid_request`, `unsupported_field`, `context_length_exceeded` ...). */
  readonly code: string;
  readonly message: string;
  /** Field of the body that is to blame. */
  readonly param?: string;
}

/** Thrown inside request preparation and turned into an error line by the batch loop. */
export class RequestRefused extends Error {
  constructor(readonly error: RequestError) {
    super(error.message);
    this.name = 'RequestRefused';
  }
}

/** Shorthand for refusing a request. */
export function refuse(code: string, message: string, param?: string): never {
  throw new RequestRefused({ code, message, param });
}
