/** Which requests a simulation runs: a workload of the plan file by name, or a file of lengths. */
import type { CheckResult } from '../compiler/check/check-file.js';
import type { Workload } from '../compiler/plan/workload.js';
import { suggest } from '../grammar/did-you-mean.js';
import { lineMap } from '../grammar/line-map.js';
import { drawRequests } from '../runtime/clock/lengths.js';
import { lengthsProblems, readLengthsFile, requestsFile } from '../runtime/clock/lengths-file.js';
import type { SimulatedRequest } from '../runtime/clock/simulation.js';
import { RuntimeFailure } from '../runtime/failure.js';
import type { NamedFile } from '../runtime/refuse-taken.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { formatCount, plural } from './format.js';
import { shownPath } from './shown-path.js';
import { fail, type Terminal } from './terminal.js';

export type ChosenRequests =
  | {
      readonly kind: 'requests';
      readonly name: string;
      readonly requests: readonly SimulatedRequest[];
      /** What of the workload does not come to count. */
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'usage'; readonly message: string }
  /** `message`: the first thing that is wrong; `failure` says all. */
  | { readonly kind: 'unreadable'; readonly message: string; readonly failure: RuntimeFailure };

/** Says why there are no requests; the result is how the command ends. Throws where a file of them cannot be read. */
export function refuseRequests(
  terminal: Terminal,
  refused: Exclude<ChosenRequests, { kind: 'requests' }>,
): ExitCode {
  if (refused.kind === 'unreadable') throw refused.failure;
  fail(terminal, refused.message);
  return EXIT.usage;
}

/**
 * The workload that `name` names, or the file it is. Where there is no name, the only workload that the plan file
 * declares, or the only one that it imports if it declares none.
 */
export function chooseRequests(
  {
    workloads: own,
    importedWorkloads: imported,
    files,
  }: Pick<CheckResult, 'workloads' | 'importedWorkloads' | 'files'>,
  name: string | undefined,
  file: string,
  context: number,
): ChosenRequests {
  const workloads = name !== undefined || own.length === 0 ? [...own, ...imported] : own;
  const names = workloads.map((workload) => workload.name);
  if (name !== undefined && isLengthsFile(name)) return readLengths(name, name);
  if (name === undefined && workloads.length !== 1) {
    const message =
      workloads.length === 0
        ? `${file} declares no workload: add one, or name a file of lengths with --workload`
        : `${file} has several workloads: choose one with --workload (${names.join(', ')})`;
    return { kind: 'usage', message };
  }
  const workload = name === undefined ? workloads[0] : workloads.find((each) => each.name === name);
  if (workload === undefined) {
    const near = suggest(name!, names);
    const known = near === undefined ? `it has ${names.join(', ') || 'none'}` : `did you mean ${near}?`;
    // No workload has such a name.
    const hint = /[./\\]/.test(name!) ? 'files of lengths are those that end in .jsonl' : known;
    return { kind: 'usage', message: `${file} has no workload ${name}; ${hint}` };
  }
  const chosen = requestsOf(workload, context);
  return chosen.kind === 'unreadable'
    ? { ...chosen, failure: atWorkload(chosen.failure, workload, files) }
    : chosen;
}

/** With the place in the plan file that names what cannot be read. */
function atWorkload(
  { code, message, details }: RuntimeFailure,
  { name, requests }: Workload,
  files: CheckResult['files'],
): RuntimeFailure {
  if (requests.kind !== 'file') return new RuntimeFailure(code, message, details);
  const { file, span } = requests.origin;
  const { line, column } = lineMap(files.get(file) ?? '').position(span.start);
  const subject = `${shownPath(file)}:${line}:${column}`;
  return new RuntimeFailure(code, `workload ${name}: ${message}`, { ...details, subject });
}

/** Whether `--workload` names a file, and not a workload. */
function isLengthsFile(name: string): boolean {
  return /\.jsonl$/i.test(name);
}

/** The requests of a workload, drawn or read. */
export function requestsOf(workload: Workload, context: number): ChosenRequests {
  const { name, requests } = workload;
  if (requests.kind === 'file') return readLengths(name, requestsFile(requests));
  const drawn = drawRequests(requests, context);
  const cut = drawn.filter(({ promptCut }) => promptCut).length;
  const share = `${formatCount(cut)} of ${plural(drawn.length, 'prompt')}`;
  const warning = `workload ${name}: ${share} would fill the context of ${formatCount(context)} tokens, and are cut to leave room for one`;
  return { kind: 'requests', name, requests: drawn, warnings: cut > 0 ? [warning] : [] };
}

/**
 * Files that requests are read from: those of all workloads that the plan file has, and the one that `--workload` names,
 * if it does.
 */
export function requestFiles(
  { workloads, importedWorkloads }: Pick<CheckResult, 'workloads' | 'importedWorkloads'>,
  named: string | undefined,
): readonly NamedFile[] {
  const own = [...workloads, ...importedWorkloads].flatMap(({ name, requests }) =>
    requests.kind === 'file' ? [{ what: `workload ${name}`, path: requestsFile(requests) }] : [],
  );
  return named !== undefined && isLengthsFile(named) ? [...own, { what: 'the workload', path: named }] : own;
}

function readLengths(name: string, file: string): Exclude<ChosenRequests, { kind: 'usage' }> {
  const path = shownPath(file);
  const read = readLengthsFile(file);
  if (read.kind === 'requests') {
    const { requests, ignored = [] } = read;
    const warnings = ignored.map((field) => `${path}: \`${field}\` of its lines means nothing here`);
    return { kind: 'requests', name, requests, warnings };
  }
  const lines = lengthsProblems(path, read);
  const [message] = lines;
  const failure =
    read.kind === 'unreadable'
      ? new RuntimeFailure('FC0923', message, { subject: path })
      : badLines(path, lines);
  return { kind: 'unreadable', message, failure };
}

/** Of a file in another format every line is bad. */
const BAD_LINES_SHOWN = 10;

function badLines(path: string, lines: readonly string[]): RuntimeFailure {
  const more = lines.length - BAD_LINES_SHOWN;
  const shown = [
    ...lines.slice(0, BAD_LINES_SHOWN),
    ...(more > 0 ? [`and ${plural(more, 'more line')}`] : []),
  ];
  return new RuntimeFailure('FC0923', `cannot take lengths from ${path}\n  ${shown.join('\n  ')}`, {
    subject: path,
    help: 'each line is as `{"prompt_tokens": 120, "output_tokens": 30}`',
  });
}
