/** The server on standard input and output. */
import { createConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-languageserver/node.js';
import { serve, type ServerOptions } from './server.js';

/** Serves until the client says `exit` or hangs up. */
export function serveStdio(options: ServerOptions): Promise<void> {
  const connection = createConnection(
    new StreamMessageReader(process.stdin),
    new StreamMessageWriter(process.stdout),
  );
  const ended = new Promise<void>((resolve) => {
    connection.onExit(() => resolve());
    process.stdin.on('end', () => resolve());
  });
  serve(connection, options);
  return ended;
}
