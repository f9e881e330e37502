/**
 * Dependencies: `npm ci` when what is installed differs from the lock file. npm records what it installed in
 * `node_modules/.package-lock.json`, written last, so an interrupted install reads as missing.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The `packages` table of a lock file, or undefined when there is none to read. */
function lockedPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** True when every package of the lock file is installed at its version; optional ones may be absent. */
function installedMatchesLock(root) {
  const wanted = lockedPackages(join(root, 'package-lock.json'));
  const installed = lockedPackages(join(root, 'node_modules', '.package-lock.json'));
  if (wanted === undefined || installed === undefined) return false;
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' ||
      installed[path]?.version === entry.version ||
      (installed[path] === undefined && entry.optional === true),
  );
}

/** Runs npm with its output on stderr; throws when it fails. */
export function npm(root, args) {
  const result = spawnSync('npm', args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (result.error) throw new Error(`npm could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`npm ${args.join(' ')} failed (exit ${result.status})`);
}

/** Installs the locked dependencies, development ones included, unless they are there already. */
export function ensureDependencies(root, log) {
  if (installedMatchesLock(root)) {
    log.info('dependencies match the lock file');
    return;
  }
  log.say('installing dependencies from the lock file (npm ci)');
  npm(root, ['ci', '--include=dev', '--no-audit', '--no-fund']);
}
