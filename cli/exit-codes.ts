/** Exit status of every command. */
export const EXIT = {
  ok: 0,
  /** The input has errors, or a check failed. */
  diagnostics: 1,
  /** The command line is wrong. */
  usage: 2,
  /** A file that is no plan could not be read or written, or a device or the run itself failed. */
  runtime: 3,
  /** Stopped by Ctrl-C or a termination signal. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
