/**
 * `npm run bench:NAME -- ...`: compiles and runs a benchmark. With `--help` it only says what the benchmark is and takes,
 * as the head of its file does: most run for minutes.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [name, ...args] = process.argv.slice(2);

if (args.includes('--help') || args.includes('-h')) {
  const source = readFileSync(join(root, 'bench', `${name}.ts`), 'utf8');
  const [, head] = /^\/\*\*\n(.*?)\n \*\/$/ms.exec(source);
  console.log(head.replace(/^ \* ?/gm, ''));
  process.exit(0);
}

const out = join(root, 'dist', 'bench');
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const compiled = spawnSync(
  process.execPath,
  [tsc, '-p', join(root, 'tsconfig.check.json'), '--noEmit', 'false', '--outDir', out],
  { stdio: 'inherit' },
);
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

// Where a benchmark looks for its arguments.
const program = join(out, 'bench', `${name}.js`);
process.argv.splice(1, 2, program);
await import(pathToFileURL(program).href);
