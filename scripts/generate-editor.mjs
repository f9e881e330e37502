/** Writes what editors read and the token table decides: `editor/vscode/syntaxes/plan.tmLanguage.json`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { URL } from 'node:url';
import { format } from 'prettier';
import { importSource } from './import-source.mjs';

const { textmateGrammar } = await importSource('editor/textmate/grammar.ts');
const folder = new URL('../editor/vscode/syntaxes/', import.meta.url);
mkdirSync(folder, { recursive: true });
const text = await format(JSON.stringify(textmateGrammar()), { parser: 'json', printWidth: 110 });
writeFileSync(new URL('plan.tmLanguage.json', folder), text);
