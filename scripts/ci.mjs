/**
 * All gates of a change: tests, formatting, lint, unused code and all type checks. Every gate runs even when one before it has
 * failed; the last line sums tests and gates.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProjects } from './vitest-projects.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** For each test project; a hanging one becomes a failure instead of a hanging gate. */
const TEST_TIMEOUT_MS = 16 * 60_000;

/** What is checked beside the tests: a name and a program of a dependency with its arguments. */
const GATES = [
  ['format', 'prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']],
  ['lint', 'eslint/bin/eslint.js', ['.']],
  ['unused code', 'knip/bin/knip.js', ['--no-progress']],
  ['types', 'typescript/bin/tsc', ['-p', 'tsconfig.check.json']],
  ['types in the browser', 'typescript/bin/tsc', ['-p', 'tsconfig.browser.json']],
  ['compiler without node types', 'typescript/bin/tsc', ['-p', 'tsconfig.pure.json']],
];

function runNode(args) {
  return (
    spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0
  );
}

const sums = { passed: 0, failed: 0 };
function count(name, good) {
  console.log(`gate ${name}: ${good ? 'passed' : 'FAILED'}`);
  sums[good ? 'passed' : 'failed'] += 1;
  return good;
}

if (count('set-up', runNode([join(root, 'scripts', 'setup.mjs'), '--browser']))) {
  for (const [name, program, args] of GATES) {
    count(name, runNode([join(root, 'node_modules', program), ...args]));
  }
  const tests = runProjects(root, [], TEST_TIMEOUT_MS);
  if (tests.skipped > 0) console.log(`${tests.skipped} skipped`);
  sums.passed += tests.passed;
  sums.failed += tests.failed;
}
console.log(`${sums.passed} passed, ${sums.failed} failed`);
process.exit(sums.failed === 0 ? 0 : 1);
