/**
 * Writes compiler/std/library.generated.ts from plans/std/*.plan: the compiler reads no files, so the library travels
 * inside it. `--check` only says whether the two agree.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { URL } from 'node:url';

const root = new URL('..', import.meta.url);
const folder = new URL('plans/std/', root);
const target = new URL('compiler/std/library.generated.ts', root);

// Quotes are escaped so that an import of a plan is never taken for one of the module.
const escape = (text) =>
  text.replace(/\\/g, '\\\\').replace(/`/g, '\\`').replace(/\$\{/g, '\\${').replace(/"/g, '\\x22');
const entries = readdirSync(folder)
  .filter((name) => name.endsWith('.plan'))
  .sort()
  .map((name) => {
    const text = readFileSync(new URL(name, folder), 'utf8');
    return `  'std/${name.replace(/\.plan$/, '')}': \`${escape(text)}\`,\n`;
  });
const content = `/** Generated from plans/std by scripts/generate-std.mjs; edit the plan files instead. */
export const STD_LIBRARY: Readonly<Record<string, string>> = {
${entries.join('')}};
`;

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== content) {
    console.error('compiler/std/library.generated.ts is out of date: run `npm run generate:std`');
    process.exitCode = 1;
  }
} else {
  writeFileSync(target, content);
}
