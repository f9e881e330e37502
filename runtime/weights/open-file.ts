/** Opening a file of a model. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';

/**
 * Opens a file for reading; the caller closes it. Fails with FC0910 when it is not there, not to be read or none, as a
 * directory is, which can be opened all the same.
 */
export function openModelFile(path: string): number {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw new RuntimeFailure('FC0910', `cannot open ${path}: ${systemReason(cause)}`, {
      subject: path,
      help: 'fetch the file or make it readable; of weights in several files each is needed',
      cause,
    });
  }
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  throw new RuntimeFailure('FC0910', `cannot open ${path}: it is not a file`, {
    subject: path,
    help: 'put the file of the model there',
  });
}
