/** Files of lengths that workloads take their requests from. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { report } from '../../compiler/diagnostics/catalogue.js';
import type { Diagnostic } from '../../compiler/diagnostics/diagnostic.js';
import type { Workload } from '../../compiler/plan/workload.js';
import { systemReason } from '../system-reason.js';
import { parseLengths, type ParsedLengths } from './lengths.js';

/** The requests of a file, what is wrong with its lines, or why there are none to read. */
export type ReadLengths = ParsedLengths | { readonly kind: 'unreadable'; readonly why: string };

/** Reads a file of lengths. Whatever is wrong with it is an answer. */
export function readLengthsFile(file: string): ReadLengths {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    return { kind: 'unreadable', why: systemReason(cause) };
  }
  return parseLengths(text);
}

/** Where the requests of a workload lie. */
export function requestsFile({ base, path }: Extract<Workload['requests'], { kind: 'file' }>): string {
  return resolve(dirname(base), path);
}

/** What is wrong with a file that is called `name`, problem by problem. */
export function lengthsProblems(
  name: string,
  read: Exclude<ReadLengths, { kind: 'requests' }>,
): readonly [string, ...string[]] {
  if (read.kind === 'unreadable') return [`cannot read ${name}: ${read.why}`];
  const [first, ...others] = read.problems.map(
    ({ line, column, why }) => `${name}:${line}:${column}: ${why}`,
  );
  return [first!, ...others];
}

/**
 * What is wrong with the files that workloads take their requests from.
 *
 * @param nameOf what a file is called in messages
 */
export function unreadableWorkloads(
  workloads: readonly Workload[],
  nameOf: (file: string) => string,
  read: (file: string) => ReadLengths = readLengthsFile,
): readonly Diagnostic[] {
  return workloads.flatMap(({ name, requests }) => {
    if (requests.kind !== 'file') return [];
    const file = requestsFile(requests);
    const found = read(file);
    if (found.kind === 'requests') return [];
    const [why] = lengthsProblems(nameOf(file), found);
    return [report('workload-unreadable', { workload: name, why }, { primary: requests.origin })];
  });
}
