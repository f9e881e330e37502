/** `fulcrum playground`: serves the playground's page to this machine until it is interrupted. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import sirv from 'sirv';
import { listen } from '../../runtime/listen.js';
import { action, interruptible, parsePort, type AddCommand, type CommandContext } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { PACKAGE_ROOT } from '../package-root.js';
import { err, fail } from '../terminal.js';

interface PlaygroundOptions {
  readonly port: number;
  readonly host: string;
}

export const addPlaygroundCommand: AddCommand = (program, context) => {
  program
    .command('playground')
    .description('serve a page to try plans in: diagnostics, IR levels, graph, simulation')
    .option('--port <port>', 'port to listen on; 0 takes any that is free', parsePort, 8641)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .action(action(context, (options: PlaygroundOptions) => servePlayground(options, context)));
};

async function servePlayground(options: PlaygroundOptions, { terminal }: CommandContext): Promise<ExitCode> {
  const folder = join(PACKAGE_ROOT, 'dist', 'playground');
  if (!existsSync(join(folder, 'index.html'))) {
    fail(terminal, 'the page is not built; `npm run build:playground` builds it');
    return EXIT.runtime;
  }
  const files = sirv(folder, { etag: true });
  const server = createServer((request, response) =>
    files(request, response, () => void response.writeHead(404).end()),
  );
  const { origin, close } = await listen(server, options, {
    what: 'the playground',
    hostOption: '--host',
    portOption: '--port',
  });
  err(terminal, `the playground is at ${origin}/ until you press Ctrl-C`);
  await interruptible((signal) => once(signal, 'abort'));
  await close();
  return EXIT.ok;
}
