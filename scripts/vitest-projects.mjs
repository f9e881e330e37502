/**
 * Runs the test projects one after the other and counts. A test file that cannot be loaded is one failure; skipped
 * tests count neither as passed nor as failed and are named separately.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** In the order they run: what needs no device first. */
const PROJECTS = ['unit', 'browser', 'device'];

/** Counts of one vitest JSON report. */
function countReport(report) {
  const unloadable = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloadable.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function readReport(path) {
  try {
    return countReport(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
}

/**
 * Runs every project with vitest's own output on stdout; `filters` narrow the files as on vitest's command line.
 * Returns the sums `{ passed, failed, skipped }`; a run that ends badly without a failed test counts as one failure,
 * and so does one that takes longer than `timeoutMs`.
 */
export function runProjects(root, filters, timeoutMs) {
  const folder = mkdtempSync(join(tmpdir(), 'fulcrum-test-'));
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const sums = { passed: 0, failed: 0, skipped: 0 };
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
    const counts = readReport(report);
    const endedBadly = run.status !== 0 && counts.failed === 0;
    if (endedBadly) console.log(`test: project ${project} ended with ${run.signal ?? `exit ${run.status}`}`);
    sums.passed += counts.passed;
    sums.failed += counts.failed + (endedBadly ? 1 : 0);
    sums.skipped += counts.skipped;
  }
  rmSync(folder, { recursive: true, force: true });
  return sums;
}
