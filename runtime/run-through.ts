/** Runs what is done in parts through to its end, without a pause. */
export function runThrough<Result>(parts: Generator<unknown, Result>): Result {
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value as Result;
  }
}
