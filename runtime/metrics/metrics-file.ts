/** Metrics as a file, for a collector that reads files or for a look after the run. */
import { accessSync, closeSync, constants, openSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { RuntimeFailure } from '../failure.js';
import { fileToReplace, replaceFile } from '../replaced-file.js';
import { systemReason } from '../system-reason.js';

/** Fails with FC0940 when no file of that name could be written. Leaves no trace. */
export function refuseUnwritableMetrics(path: string): void {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory()) throw new Error('it is a directory');
    if (found?.isSocket()) throw new Error('it is a socket; name a file or a pipe made with mkfifo');
    const replaced = fileToReplace(path);
    accessSync(replaced === undefined ? path : dirname(resolve(replaced)), constants.W_OK);
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/**
 * Writes the file at once: whoever reads it sees the old content or the new. What is no file, a pipe or a device, stays
 * what it is and takes the text. Fails with FC0940.
 */
export function writeMetricsFile(path: string, text: string): void {
  try {
    const replaced = fileToReplace(path);
    if (replaced === undefined) writeThrough(path, text);
    else replaceFile(replaced, text);
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/** Writes to what is no file, without waiting for somebody to read it: behind what it holds where that is a log. */
function writeThrough(path: string, text: string): void {
  const { O_WRONLY, O_APPEND, O_NONBLOCK } = constants;
  let open: number;
  try {
    open = openSync(path, O_WRONLY | O_APPEND | O_NONBLOCK);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENXIO' ? new Error('nobody reads the pipe') : error;
  }
  try {
    writeFileSync(open, text);
  } finally {
    closeSync(open);
  }
}

function unwritable(path: string, cause: unknown): RuntimeFailure {
  return new RuntimeFailure('FC0940', `cannot write ${path}: ${systemReason(cause)}`, {
    subject: path,
    cause,
  });
}
