/**
 * All gates of a change: tests, formatting, lint, unused code and all type checks. Every gate runs even when one before it has
 * failed; the last line sums tests and gates.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { printSums, runProjects } from './vitest-projects.mjs';

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

const all = { passed: 0, failures: [], skipped: 0 };
function gate(name, good) {
  console.log(`gate ${name}: ${good ? 'passed' : 'FAILED'}`);
  if (good) all.passed += 1;
  else all.failures.push(`gate ${name}`);
  return good;
}

if (gate('set-up', runNode([join(root, 'scripts', 'setup.mjs'), '--browser']))) {
  for (const [name, program, args] of GATES) {
    gate(name, runNode([join(root, 'node_modules', program), ...args]));
  }
  const tests = runProjects(root, [], TEST_TIMEOUT_MS);
  all.passed += tests.passed;
  all.failures.push(...tests.failures);
  all.skipped += tests.skipped;
}
printSums(all);
process.exit(all.failures.length === 0 ? 0 : 1);
