/** Opening a file of a model. */
import { openSync } from 'node:fs';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';

/** Opens a file for reading; the caller closes it. Fails with FC0910 when it is not there or not to be read. */
export function openModelFile(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    throw new RuntimeFailure('FC0910', `cannot open ${path}: ${systemReason(cause)}`, {
      subject: path,
      cause,
    });
  }
}
