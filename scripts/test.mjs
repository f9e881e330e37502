/**
 * `npm test`: sets up, runs all tests, and ends with one line over all projects. Arguments narrow the files:
 * `npm test -- test/grammar`.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { printSums, runProjects } from './vitest-projects.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const setup = spawnSync(process.execPath, [join(root, 'scripts', 'setup.mjs'), '--browser', '--quiet'], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
if (setup.status !== 0) process.exit(setup.status ?? 1);

const filters = process.argv.slice(2);
const all = runProjects(root, filters, undefined);
if (all.passed === 0 && all.failures.length === 0) all.failures.push(`no test ran for ${filters.join(' ')}`);
printSums(all);
process.exit(all.failures.length === 0 ? 0 : 1);
