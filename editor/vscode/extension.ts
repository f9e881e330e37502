/** The VS Code extension: starts the language server and restarts it on command. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { commands, window, workspace, type ExtensionContext } from 'vscode';
import { LanguageClient, type ServerOptions } from 'vscode-languageclient/node.js';

let client: LanguageClient | undefined;

/** Called by the editor when the first plan file is opened. */
export async function activate(context: ExtensionContext): Promise<void> {
  context.subscriptions.push(commands.registerCommand('fulcrum.restart', restart));
  await restart();
}

/** Called by the editor before it ends. */
export async function deactivate(): Promise<void> {
  const ended = client;
  client = undefined;
  await ended?.dispose();
}

async function restart(): Promise<void> {
  await deactivate();
  const [command, ...args] = serverCommand();
  const server: ServerOptions = { command: command!, args };
  const started = new LanguageClient('fulcrum', 'Fulcrum', server, {
    // Not those of another revision that a comparison shows.
    documentSelector: ['file', 'untitled'].map((scheme) => ({ scheme, language: 'plan' })),
  });
  try {
    client = started;
    await started.start();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await window.showErrorMessage(`\`${[command, ...args].join(' ')}\` does not start: ${reason}`);
  }
}

/** What the user set; else the workspace's own Fulcrum, so that editor and gates say the same; else the one on the path. */
function serverCommand(): readonly string[] {
  const set = workspace.getConfiguration('fulcrum').get<readonly string[]>('server.command', []);
  if (set.length > 0) return set;
  const bin = process.platform === 'win32' ? 'fulcrum.cmd' : 'fulcrum';
  const local = (workspace.workspaceFolders ?? [])
    .map((folder) => join(folder.uri.fsPath, 'node_modules', '.bin', bin))
    .find(existsSync);
  return [local ?? 'fulcrum', 'lsp'];
}
