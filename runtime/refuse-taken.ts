/** Files to write that are files of something else already. */
import { statSync } from 'node:fs';
import { RuntimeFailure } from './failure.js';
import { isSameFile } from './same-file.js';

export interface NamedFile {
  /** Completes the sentence "it is the file of ...". */
  readonly what: string;
  readonly path: string;
}

/**
 * Fails with FC0940 when one of the files to write would take the place of one of `taken`, or of another of them. Devices
 * and pipes take what comes.
 */
export function refuseTaken(written: readonly (string | undefined)[], taken: readonly NamedFile[]): void {
  const all = [...taken];
  for (const path of written) {
    if (path === undefined || statSync(path, { throwIfNoEntry: false })?.isFile() === false) continue;
    const other = all.find((each) => isSameFile(path, each.path));
    if (other !== undefined)
      throw new RuntimeFailure('FC0940', `cannot write ${path}: it is the file of ${other.what}`, {
        subject: path,
        help: 'give it a name of its own',
      });
    all.push({ what: 'another report', path });
  }
}
