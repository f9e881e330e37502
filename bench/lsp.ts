/**
 * How long the language server takes to answer a keystroke in a file of 1,000 lines: the change goes in, and the time
 * runs until an answer that needs the new text is back (the protocol answers in order, so the change has been read,
 * lexed, parsed and its problems of syntax published by then). Checking and compiling go on in another thread; how long
 * that takes is told too: for all plans anew, and after an edit, when only what it concerns is compiled.
 *
 *   npm run bench:lsp
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  createProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-languageserver/node.js';

import { checkedRung, upperRungs } from '../editor/lsp/analysis.js';
import { createCompileMemory } from '../editor/lsp/compile-memory.js';
import { fileHost } from '../runtime/file-host.js';

const LINES = 1000;
const KEYSTROKES = 60;

/** Plans of 20 lines each, one under the other. */
function longFile(): string {
  const plan = (index: number): string => `
/// Plan number ${index}.
plan p${index} for llama3_8b on g6_48xlarge {
  stage prefill on gpu {
    mesh (pp: 8)
    microbatch: 4096 tokens
  }
  stage decode on gpu {
    mesh (pp: 2, tp: 4)
    batch: 256 requests
  }
  kv {
    page: 16 tokens
    tiers: gpu -> host -> nvme
  }
  flow requests -> prefill -> decode -> results {
    to decode when host.full or requests.empty
    to prefill when host.used < 20%
  }
}
`;
  const head = 'import { g6_48xlarge } from "std/aws"\nimport { llama3_8b } from "std/models"\n';
  return head + Array.from({ length: LINES / 20 }, (_, index) => plan(index)).join('');
}

const program = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const server = spawn(process.execPath, [program, 'lsp', '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
const connection = createProtocolConnection(
  new StreamMessageReader(server.stdout),
  new StreamMessageWriter(server.stdin),
);
connection.listen();
await connection.sendRequest('initialize', { processId: process.pid, rootUri: null, capabilities: {} });
await connection.sendNotification('initialized', {});

const textDocument = { uri: 'file:///bench/long.plan' };
const text = longFile();
await connection.sendNotification('textDocument/didOpen', {
  textDocument: { ...textDocument, languageId: 'fulcrum', version: 1, text },
});

/** In the middle of the file, the value of a microbatch. */
const middle = text
  .split('\n')
  .findIndex((line, index) => index > LINES / 2 && line.includes('microbatch: '));
const times: Record<string, number[]> = {};
for (const [method, rest] of [
  ['completion', { position: { line: middle, character: 16 } }],
  ['hover', { position: { line: middle, character: 6 } }],
  ['documentSymbol', {}],
  ['semanticTokens/full', {}],
] as const) {
  times[method] = [];
  for (let stroke = 0; stroke < KEYSTROKES; stroke++) {
    const at = { line: middle, character: 16 };
    const start = performance.now();
    void connection.sendNotification('textDocument/didChange', {
      textDocument: { ...textDocument, version: stroke + 2 },
      contentChanges: [{ range: { start: at, end: at }, text: '1' }],
    });
    await connection.sendRequest(`textDocument/${method}`, { textDocument, ...rest });
    times[method].push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 30));
  }
}
for (const [method, all] of Object.entries(times)) {
  const sorted = all.toSorted((a, b) => a - b);
  const part = (fraction: number): string =>
    sorted[Math.floor(sorted.length * fraction)]!.toFixed(1).padStart(6);
  console.log(`keystroke and ${method.padEnd(20)} median ${part(0.5)} ms, 95 % ${part(0.95)} ms`);
}
const memory = createCompileMemory();
const edits: readonly (readonly [string, string])[] = [
  ['all plans anew', text],
  ['after an edit of one plan', text.replace('page: 16 tokens', 'page: 32 tokens')],
  ['after a comment above all', `// here\n${text}`],
];
for (const [what, edited] of edits) {
  const host = { ...fileHost(), readText: () => edited };
  const start = performance.now();
  const path = '/bench/long.plan';
  const above = [...upperRungs(host, path, memory)].filter((rung) => rung !== undefined);
  const rungs = [checkedRung(host, path), ...above].length;
  console.log(
    `${what.padEnd(28)} ${rungs} rungs in ${(performance.now() - start).toFixed(0).padStart(6)} ms`,
  );
}
await connection.sendRequest('shutdown');
await connection.sendNotification('exit');
connection.dispose();
