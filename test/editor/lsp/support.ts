/** Sources with a cursor `‸`, a workspace over texts, and a client that talks to a server in a process of its own. */
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import {
  createProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type Diagnostic,
  type ProtocolConnection,
  type Registration,
  type RegistrationParams,
} from 'vscode-languageserver/node.js';
import type { CompilerHost } from '../../../compiler/host.js';
import { checkedRung, upperRungs, type Analysis } from '../../../editor/lsp/analysis.js';
import type { CompileMemory } from '../../../editor/lsp/compile-memory.js';
import { createWorkspace, type Workspace } from '../../../editor/lsp/workspace.js';
import { lineMap } from '../../../grammar/line-map.js';
import { transpile } from '../../fixtures/transpiled.js';

export const MAIN = '/project/main.plan';

export interface AtCursor {
  readonly workspace: Workspace;
  readonly text: string;
  readonly offset: number;
}

/** A workspace whose open file `main.plan` has the text, and the place of the cursor in it. */
export function atCursor(marked: string, others: Readonly<Record<string, string>> = {}): AtCursor {
  const offset = marked.indexOf('‸');
  const text = marked.replace('‸', '');
  const workspace = createWorkspace([]);
  for (const [name, other] of Object.entries(others)) workspace.put(resolve('/project', name), other);
  workspace.put(MAIN, text);
  return { workspace, text, offset };
}

/** All rungs of a file, lowest first. */
export function rungsOf(host: CompilerHost, path: string, memory?: CompileMemory): readonly Analysis[] {
  const above = [...upperRungs(host, path, memory)].filter((rung) => rung !== undefined);
  return [checkedRung(host, path), ...above];
}

/** Devices, a model and a topology that plans of these tests stand on. */
export const WORLD = `/// Eight cards.
topology box {
  gpu[8]: card
  /// Host memory.
  tier host { capacity: 64 GiB }
  link gpu <-> gpu { bandwidth: 10 GB/s }
  link gpu <-> host { bandwidth: 10 GB/s }
}
/// A card.
device card { memory: 16 GB, bandwidth: 300 GB/s, compute: { f32: 10 TFLOPS } }
/// A small model.
model small { layers: 8, hidden: 512, heads: 8, kv_heads: 4, ffn: 1536, vocab: 1000, context: 2048, weights: f16 }
workload some { requests: 20, prompt: 100 tokens, output: 20 tokens }
`;

export interface Client {
  /** Path of the program that the server is. */
  readonly program: string;
  readonly connection: ProtocolConnection;
  /** The next diagnostics of a file that `accept` agrees to. */
  readonly diagnostics: (
    uri: string,
    accept: (found: readonly Diagnostic[]) => boolean,
  ) => Promise<readonly Diagnostic[]>;
  /** Resolves when the server next asks for hints to be drawn again. */
  readonly hintsChanged: () => Promise<void>;
  /** What the server has asked the editor to do from now on. */
  readonly registrations: readonly Registration[];
  /** Ends the server as editors do; its exit status. */
  readonly stop: () => Promise<number | null>;
}

/** Starts a server in `folder` and shakes hands. */
export async function startClient(folder: string): Promise<Client> {
  const program = transpile('cli/main.ts', 'editor/lsp/analyst-worker.ts');
  const server = spawn(process.execPath, [program.path, 'lsp', '--stdio'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((done) => server.once('exit', done));
  const connection = createProtocolConnection(
    new StreamMessageReader(server.stdout),
    new StreamMessageWriter(server.stdin),
  );
  const waiting: {
    uri: string;
    accept: (found: readonly Diagnostic[]) => boolean;
    done: (found: readonly Diagnostic[]) => void;
  }[] = [];
  const last = new Map<string, readonly Diagnostic[]>();
  connection.onNotification(
    'textDocument/publishDiagnostics',
    (params: { uri: string; diagnostics: Diagnostic[] }) => {
      last.set(params.uri, params.diagnostics);
      for (const each of waiting.filter(
        ({ uri, accept }) => uri === params.uri && accept(params.diagnostics),
      )) {
        waiting.splice(waiting.indexOf(each), 1);
        each.done(params.diagnostics);
      }
    },
  );
  let redraw = (): void => undefined;
  connection.onRequest('workspace/inlayHint/refresh', () => {
    redraw();
    return null;
  });
  const registrations: Registration[] = [];
  connection.onRequest('client/registerCapability', (params: RegistrationParams) => {
    registrations.push(...params.registrations);
    return null;
  });
  connection.listen();
  await connection.sendRequest('initialize', {
    processId: process.pid,
    rootUri: null,
    workspaceFolders: [{ uri: `file://${folder}`, name: 'test' }],
    capabilities: {
      workspace: {
        inlayHint: { refreshSupport: true },
        didChangeWatchedFiles: { dynamicRegistration: true },
      },
    },
  });
  await connection.sendNotification('initialized', {});
  return {
    program: program.path,
    connection,
    diagnostics: (uri, accept) => {
      const known = last.get(uri);
      if (known !== undefined && accept(known)) return Promise.resolve(known);
      return new Promise((done) => waiting.push({ uri, accept, done }));
    },
    registrations,
    hintsChanged: () => new Promise((done) => (redraw = done)),
    stop: async () => {
      await connection.sendRequest('shutdown');
      await connection.sendNotification('exit');
      const status = await ended;
      connection.dispose();
      program.remove();
      return status;
    },
  };
}

/** The protocol's position of the cursor in a marked text. */
export function cursorPosition(marked: string): { readonly line: number; readonly character: number } {
  const { line, column } = lineMap(marked).position(marked.indexOf('‸'));
  return { line: line - 1, character: column - 1 };
}
