/**
 * Brings a fresh clone to the point where everything runs: dependencies from the lock file, the build, and a WebGPU
 * adapter. Each step looks first and does only what is missing, so a second run costs little more than the adapter
 * probe.
 *
 *   node scripts/setup.mjs [--no-adapter] [--browser] [--quiet]
 *
 * Plain Node without dependencies, because it runs before there are any. Exit status: 0 ready, 1 a step failed,
 * 3 no adapter or browser and none could be installed (what to do is printed).
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureAdapter } from './setup/adapter.mjs';
import { ensureBrowser } from './setup/browser.mjs';
import { ensureBuild } from './setup/build.mjs';
import { ensureDependencies } from './setup/dependencies.mjs';

const USAGE = `Usage: node scripts/setup.mjs [--no-adapter] [--browser] [--quiet]

  --no-adapter  leave out the check for a WebGPU adapter
  --browser     see to a browser as well: the tests need one
  --quiet       print only what is being changed and what went wrong
`;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const flags = process.argv.slice(2);
const known = ['--no-adapter', '--browser', '--quiet', '--help'];
const unknown = flags.find((flag) => !known.includes(flag));
if (unknown !== undefined || flags.includes('--help')) {
  if (unknown !== undefined) console.error(`setup: unknown option ${unknown}\n`);
  console.error(USAGE);
  process.exit(unknown === undefined ? 0 : 2);
}

const log = {
  /** States of things that were already right. */
  info: (text) => {
    if (!flags.includes('--quiet')) console.error(`setup: ${text}`);
  },
  /** Work being done and problems: always printed. */
  say: (text) => console.error(`setup: ${text}`),
};

/** First dotted numbers of a version as one comparable number. */
function versionNumber(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major * 1000 + minor;
}

const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const wanted = engines.node.replace(/^>=/, '');
if (versionNumber(process.versions.node) < versionNumber(wanted)) {
  log.say(`this is Node ${process.versions.node}; Fulcrum needs ${wanted} or newer`);
  process.exit(1);
}

try {
  ensureDependencies(root, log);
  ensureBuild(root, log);
} catch (error) {
  log.say(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
if (!flags.includes('--no-adapter') && !(await ensureAdapter(root, log))) process.exit(3);
if (flags.includes('--browser') && !ensureBrowser(log)) process.exit(3);
