/**
 * Writes the output of a batch: one line per finished request, each handed to the operating system whole before
 * `write` returns, so that nothing already answered is lost when the process ends.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';

export interface ResultWriter {
  /** Appends one JSON line. Fails with FC0918. */
  readonly write: (line: object) => void;
  readonly close: () => void;
}

/** Creates (or empties) the output file. Fails with FC0918 when it cannot be written. */
export function openResultWriter(path: string): ResultWriter {
  const guarded = <T>(action: () => T): T => {
    try {
      return action();
    } catch (cause) {
      throw new RuntimeFailure('FC0918', `cannot write results to ${path}: ${systemReason(cause)}`, {
        subject: path,
        cause,
      });
    }
  };
  const file = guarded(() => openSync(path, 'w'));
  return {
    write: (line) => {
      const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
      let done = 0;
      while (done < bytes.length) done += guarded(() => writeSync(file, bytes, done));
    },
    close: () => closeSync(file),
  };
}
