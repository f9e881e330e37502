/**
 * Puts Chevrotain's own bundle into the build, in place of `grammar/chevrotain.js`. The package as it is imported has
 * some seven hundred modules with those it imports, and to find and read them is most of the start of a command.
 */
import { copyFileSync } from 'node:fs';
import { fileURLToPath, URL } from 'node:url';

const pathOf = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

copyFileSync(pathOf('node_modules/chevrotain/lib/chevrotain.min.mjs'), pathOf('dist/grammar/chevrotain.js'));
