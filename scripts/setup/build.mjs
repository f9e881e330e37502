/**
 * The build: `npm run build` when the sources differ from those that `dist/` was made of. A digest over the contents
 * decides, because file times say nothing after a clone or a change of branch.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { npm } from './dependencies.mjs';

const SOURCES = ['grammar', 'compiler', 'runtime', 'cli', 'editor', 'plans'];
const ENDINGS = ['.ts', '.json', '.html', '.css', '.plan'];
const SETTINGS = [
  ...['package.json', 'package-lock.json', 'tsconfig.base.json', 'tsconfig.check.json', 'tsconfig.json'],
  ...['vite.program.config.ts', 'vite.playground.config.ts'],
];

/** Digest of everything that the build reads. */
function sourceDigest(root) {
  const hash = createHash('sha256');
  const files = SOURCES.flatMap((folder) =>
    existsSync(join(root, folder))
      ? readdirSync(join(root, folder), { recursive: true })
          .map((name) => join(folder, String(name)))
          .filter((path) => ENDINGS.some((ending) => path.endsWith(ending)))
      : [],
  ).sort();
  for (const path of [...SETTINGS, ...files]) hash.update(`${path}\0`).update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

/** Builds `dist/` unless it already holds the build of these sources. */
export function ensureBuild(root, log) {
  const digest = sourceDigest(root);
  const stamp = join(root, 'dist', '.sources');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) {
    log.info('the build is up to date');
    return;
  }
  log.say('building (npm run build)');
  // From nothing, so that no output of a deleted source stays behind.
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  npm(root, ['run', '--silent', 'build']);
  writeFileSync(stamp, digest);
}
