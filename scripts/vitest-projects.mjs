/**
 * Runs the test projects one after the other and counts. A test file that cannot be loaded is one failure; skipped
 * tests count neither as passed nor as failed and are named separately.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** In the order they run: what needs no device first. */
const PROJECTS = ['unit', 'browser', 'device'];

/** The failed tests of a report's file, each with the first line of what it says; a file that could not be loaded is one. */
function failuresOf(root, project, file) {
  if (file.status !== 'failed') return [];
  const failed = file.assertionResults.filter((test) => test.status === 'failed');
  const where = `${project} ${relative(root, file.name)}`;
  const firstLine = (text) => stripVTControlCharacters(text ?? '').split('\n', 1)[0];
  if (failed.length === 0) return [`${where}: ${firstLine(file.message)}`];
  return failed.map((test) => `${where} > ${test.fullName}: ${firstLine(test.failureMessages?.[0])}`);
}

/** Counts and failures of one vitest JSON report; a report that is missing or cut off has none. */
function readReport(root, project, path) {
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return { passed: 0, failures: [], skipped: 0 };
  }
  return {
    passed: report.numPassedTests,
    failures: report.testResults.flatMap((file) => failuresOf(root, project, file)),
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/**
 * Runs every project with vitest's own output on stdout; `filters` narrow the files as on vitest's command line.
 * Returns `{ passed, failures, skipped }`: what failed is named, in a line each. A run that ends badly without a failed
 * test counts as one failure, and so does one that takes longer than `timeoutMs`.
 */
export function runProjects(root, filters, timeoutMs) {
  const folder = mkdtempSync(join(tmpdir(), 'fulcrum-test-'));
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const all = { passed: 0, failures: [], skipped: 0 };
  for (const project of PROJECTS) {
    const report = join(folder, `${project}.json`);
    const options = [
      '--project',
      project,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ];
    if (filters.length > 0) options.push('--passWithNoTests');
    const run = spawnSync(process.execPath, [vitest, 'run', ...options, ...filters], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: timeoutMs,
    });
    const { passed, failures, skipped } = readReport(root, project, report);
    if (run.status !== 0 && failures.length === 0) {
      failures.push(`${project}: vitest ended with ${run.signal ?? `exit ${run.status}`}`);
    }
    all.passed += passed;
    all.failures.push(...failures);
    all.skipped += skipped;
  }
  rmSync(folder, { recursive: true, force: true });
  return all;
}

/** Prints what failed, so that the end of a long output says it, then what was skipped, then the line of sums. */
export function printSums({ passed, failures, skipped }) {
  for (const failure of failures) console.log(`failed: ${failure}`);
  if (skipped > 0) console.log(`${skipped} skipped`);
  console.log(`${passed} passed, ${failures.length} failed`);
}
