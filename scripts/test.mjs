/**
 * `npm test`: sets up, runs all tests, and ends with one line over all projects. Arguments narrow the files:
 * `npm test -- test/grammar`.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProjects } from './vitest-projects.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const setup = spawnSync(process.execPath, [join(root, 'scripts', 'setup.mjs'), '--browser', '--quiet'], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
if (setup.status !== 0) process.exit(setup.status ?? 1);

const { passed, failed, skipped } = runProjects(root, process.argv.slice(2), undefined);
if (skipped > 0) console.log(`${skipped} skipped`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
