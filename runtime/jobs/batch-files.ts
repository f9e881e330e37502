/**
 * The files of a batch, looked at before anything costly is opened: the requests must be readable, the results
 * writable and another file than the requests. Leaves no trace: a results file is neither created nor emptied here.
 */
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';
import { countRequests } from './request-lines.js';

/**
 * How many requests the batch has; undefined for a stream, which can be read only once. Fails with FC0916 (requests)
 * or FC0918 (results).
 */
export function checkBatchFiles(requestsPath: string, resultsPath: string): number | undefined {
  const found = statSync(requestsPath, { throwIfNoEntry: false });
  const isStream = found !== undefined && !found.isFile() && !found.isDirectory();
  const count = isStream ? undefined : countRequests(requestsPath);
  refuseSameFile(requestsPath, resultsPath);
  refuseUnwritable(resultsPath);
  return count;
}

/** Fails with FC0918 when the results would overwrite the requests. */
export function refuseSameFile(requests: string, results: string): void {
  if (realPath(requests) !== realPath(results) && !isSameInode(requests, results)) return;
  throw new RuntimeFailure('FC0918', `the results would overwrite the requests in ${requests}`, {
    subject: results,
    help: 'name another file with --out',
  });
}

/** A hard link, or another spelling where the file system does not tell upper case from lower. */
function isSameInode(a: string, b: string): boolean {
  const [first, second] = [a, b].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }));
  if (!first?.isFile() || !second) return false;
  return first.dev === second.dev && first.ino === second.ino;
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

function refuseUnwritable(path: string): void {
  const refuse = (why: string, cause?: unknown): never => {
    throw new RuntimeFailure('FC0918', `cannot write results to ${path}: ${why}`, { subject: path, cause });
  };
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) refuse('it is a directory');
  const folder = dirname(resolve(path));
  if (!found && !statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    refuse(`there is no directory ${folder}`);
  try {
    accessSync(found ? path : folder, constants.W_OK);
  } catch (cause) {
    refuse(systemReason(cause), cause);
  }
}
