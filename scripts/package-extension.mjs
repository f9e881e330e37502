/**
 * Bundles the VS Code extension and packs it into `out/fulcrum-plan.vsix`. The packer has some two hundred
 * dependencies of its own, so it is fetched for the occasion instead of being one of the project's.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { fileURLToPath, URL } from 'node:url';
import { bundleExtension, EXTENSION as folder } from './bundle-extension.mjs';

const PACKER = '@vscode/vsce@3.9.2';
const out = fileURLToPath(new URL('../out/', import.meta.url));

await bundleExtension('out');
cpSync(fileURLToPath(new URL('../LICENSE', import.meta.url)), `${folder}LICENSE`);
mkdirSync(out, { recursive: true });
execFileSync('npx', ['--yes', PACKER, 'package', '--no-dependencies', '--out', `${out}fulcrum-plan.vsix`], {
  cwd: folder,
  stdio: 'inherit',
});
