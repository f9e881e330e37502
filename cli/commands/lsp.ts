/** `fulcrum lsp`: the language server on standard input and output. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { action, type AddCommand } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { pagePath } from '../explain/pages.js';
import { PACKAGE_ROOT, VERSION } from '../package-root.js';

export const addLspCommand: AddCommand = (program, context) => {
  program
    .command('lsp')
    .description('serve editors: the language server protocol on standard input and output')
    .option('--stdio', 'the only transport there is; editors may ask for it')
    .action(
      action(context, async () => {
        // Only this command needs the protocol's library.
        const { serveStdio } = await import('../../editor/lsp/stdio.js');
        const whereThere = (path: string): string | undefined => (existsSync(path) ? path : undefined);
        await serveStdio({
          version: VERSION,
          pageOf: (code) => whereThere(pagePath(code)),
          libraryFile: (module) => whereThere(join(PACKAGE_ROOT, 'plans', `${module}.plan`)),
        });
        return EXIT.ok;
      }),
    );
};
