/** Metrics as a file, for a collector that reads files or for a look after the run. */
import { randomUUID } from 'node:crypto';
import { accessSync, constants, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';

/** Fails with FC0940 when no file of that name could be written. Leaves no trace. */
export function refuseUnwritableMetrics(path: string): void {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw new Error('it is a directory');
    accessSync(dirname(resolve(path)), constants.W_OK);
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/** Writes the file at once: whoever reads it sees the old content or the new. Fails with FC0940. */
export function writeMetricsFile(path: string, text: string): void {
  const draft = `${path}.${randomUUID()}.new`;
  try {
    writeFileSync(draft, text);
    renameSync(draft, path);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw unwritable(path, cause);
  }
}

function unwritable(path: string, cause: unknown): RuntimeFailure {
  return new RuntimeFailure('FC0940', `cannot write ${path}: ${systemReason(cause)}`, {
    subject: path,
    cause,
  });
}
