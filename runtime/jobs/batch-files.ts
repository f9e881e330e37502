/**
 * The files of a batch, looked at before anything costly is opened: the requests must be readable, what is written
 * writable, and no file two of them at once. Leaves no trace: a results file is neither created nor emptied here.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { RuntimeFailure } from '../failure.js';
import { refuseTaken, type NamedFile } from '../refuse-taken.js';
import { isSameFile } from '../same-file.js';
import { systemReason } from '../system-reason.js';
import { journalPath } from './batch-start.js';
import { countRequests } from './request-lines.js';

export interface BatchFiles {
  /** What the run is made of: a plan file, or a compiled graph. */
  readonly planPath?: string;
  /** Further files that it was read from. */
  readonly readWithPlan?: readonly NamedFile[];
  readonly requestsPath: string;
  readonly resultsPath: string;
  /** Written when the run ends. */
  readonly summaryPath?: string;
  /** Further files that the run writes: its trace, its metrics. */
  readonly reportPaths?: readonly string[];
}

/**
 * How many requests the batch has; undefined for a stream, which can be read only once. Fails with FC0916 (requests),
 * FC0918 (results, summary) or FC0940 (a report that would take the place of another file, or results that would of one
 * that the plan is read from).
 */
export function checkBatchFiles(files: BatchFiles): number | undefined {
  const { planPath, readWithPlan = [], requestsPath, resultsPath, summaryPath, reportPaths = [] } = files;
  const found = statSync(requestsPath, { throwIfNoEntry: false });
  const isStream = found !== undefined && !found.isFile() && !found.isDirectory();
  const count = isStream ? undefined : countRequests(requestsPath);
  refuseSameFile(requestsPath, resultsPath);
  refuseUnwritable('results', resultsPath);
  if (summaryPath !== undefined) refuseUnwritable('the summary', summaryPath);
  const plan = [...(planPath === undefined ? [] : [{ what: 'the plan', path: planPath }]), ...readWithPlan];
  for (const path of [resultsPath, journalPath(resultsPath)]) refuseTaken([path], plan);
  refuseTaken(
    [...reportPaths, summaryPath],
    [
      ...plan,
      { what: 'the requests', path: requestsPath },
      { what: 'the results', path: resultsPath },
      { what: 'the journal of the results', path: journalPath(resultsPath) },
    ],
  );
  return count;
}

/** Fails with FC0918 when the results, or their journal, would overwrite the requests. */
export function refuseSameFile(requests: string, results: string): void {
  if (!isSameFile(requests, results) && !isSameFile(requests, journalPath(results))) return;
  throw new RuntimeFailure('FC0918', `the results would overwrite the requests in ${requests}`, {
    subject: results,
    help: 'name another file with --out',
  });
}

function refuseUnwritable(what: string, path: string): void {
  const refuse = (why: string, cause?: unknown): never => {
    throw new RuntimeFailure('FC0918', `cannot write ${what} to ${path}: ${why}`, { subject: path, cause });
  };
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) refuse('it is a directory');
  // What a process that opens devices has for standard output is one; figures and messages go there.
  if (found?.isSocket())
    refuse('it is a socket, as standard output is here; name a file or a pipe made with mkfifo');
  const folder = dirname(resolve(path));
  if (!found && !statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    refuse(`there is no directory ${folder}`);
  try {
    accessSync(found ? path : folder, constants.W_OK);
  } catch (cause) {
    refuse(systemReason(cause), cause);
  }
}
