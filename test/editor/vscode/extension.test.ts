/** The bundled extension against a stand-in for the editor: it starts the language server, and shows what that reports. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { bundleExtension } from '../../../scripts/bundle-extension.mjs';
import { transpile } from '../../fixtures/transpiled.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-vscode-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Shown {
  readonly started?: boolean;
  readonly uri?: string;
  readonly codes?: readonly string[];
}

it('starts the server on a plan file and shows its diagnostics', async () => {
  await bundleExtension(folder);
  const file = join(folder, 'main.plan');
  const text = 'model m { source: "./m", wieghts: f32 }\n';
  writeFileSync(file, text);
  const program = transpile('cli/main.ts', 'editor/lsp/analyst-worker.ts');
  const host = spawn(
    process.execPath,
    [
      'test/editor/vscode/host.cjs',
      join(folder, 'extension.cjs'),
      file,
      text,
      process.execPath,
      program.path,
      'lsp',
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const ended = new Promise<number | null>((done) => host.once('exit', done));
  const seen: Shown[] = [];
  for await (const line of createInterface(host.stdout)) {
    seen.push(JSON.parse(line) as Shown);
    if (seen.some(({ codes }) => codes?.includes('FC0301'))) host.stdin.end();
  }
  expect(await ended).toBe(0);
  program.remove();
  expect(seen).toContainEqual({ started: true });
  expect(seen.at(-1)!.uri).toBe(pathToFileURL(file).href);
}, 60_000);
