/** Why the operating system refused something, without what its message repeats: the error's number, call and path. */

/** `no such file or directory` of `ENOENT: no such file or directory, open '/x'`; other errors as they are. */
export function systemReason(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return /^E[A-Z0-9]+: (.+?), [a-z]+( '.*')?$/s.exec(message)?.[1] ?? message;
}
