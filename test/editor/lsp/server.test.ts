/** The server as an editor meets it: a process of its own, spoken to over standard input and output. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import type {
  CodeAction,
  CompletionItem,
  Diagnostic,
  DocumentLink,
  DocumentSymbol,
  FoldingRange,
  Hover,
  InlayHint,
  Location,
  SemanticTokens,
  SignatureHelp,
  SymbolInformation,
  TextEdit,
  WorkspaceEdit,
} from 'vscode-languageserver/node.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleExtension } from '../../../scripts/bundle-extension.mjs';
import { cursorPosition, startClient, WORLD, type Client } from './support.js';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'fulcrum-lsp-')));
let client: Client;
beforeAll(async () => {
  client = await startClient(folder);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

const PLAN = `import { box, small, some } from "./world.plan"
plan p for small on box {
  stage prefill on gpu { mesh (pp: 8) }
  stage decode on gpu { mesh (tp: 4, dp: 2) }
}
`;
const uriOf = (name: string): string => pathToFileURL(join(folder, name)).href;
const MAIN = uriOf('main.plan');
let version = 1;

function open(name: string, text: string): Promise<void> {
  return client.connection.sendNotification('textDocument/didOpen', {
    textDocument: { uri: uriOf(name), languageId: 'fulcrum', version: 1, text },
  });
}

function change(text: string): Promise<void> {
  return client.connection.sendNotification('textDocument/didChange', {
    textDocument: { uri: MAIN, version: ++version },
    contentChanges: [{ text }],
  });
}

/** Asks about the cursor `‸` of a marked text that is open without it. */
function ask<T>(method: string, marked: string, rest: object = {}): Promise<T> {
  const position = cursorPosition(marked);
  return client.connection.sendRequest(method, { textDocument: { uri: MAIN }, position, ...rest });
}
const about = <T>(method: string, rest: object = {}): Promise<T> =>
  client.connection.sendRequest(method, { textDocument: { uri: MAIN }, ...rest });
const codes = (found: readonly Diagnostic[]): unknown[] => found.map(({ code }) => code);

describe('the language server', () => {
  it('finds nothing wrong with a sound file, and then shows hints', async () => {
    writeFileSync(join(folder, 'world.plan'), WORLD);
    const hinted = client.hintsChanged();
    await open('main.plan', PLAN);
    expect(await client.diagnostics(MAIN, () => true)).toEqual([]);
    await hinted;
    const range = { start: { line: 0, character: 0 }, end: { line: 9, character: 0 } };
    const hints = await about<InlayHint[]>('textDocument/inlayHint', { range });
    expect(hints.map(({ label }) => label)).toContainEqual(expect.stringMatching(/weights .* KV room/));
  });

  it('reports as one types: syntax at once, then plans, with related places and a page', async () => {
    await change(PLAN.replace('mesh (pp: 8)', 'mesh (pp: 8'));
    expect(codes(await client.diagnostics(MAIN, (found) => found.length > 0))).toContain('FC0107');
    await change(PLAN.replace('tp: 4', 'tp: 8'));
    const found = await client.diagnostics(MAIN, (each) => codes(each).includes('FC0405'));
    expect(found[0]!.codeDescription!.href).toMatch(/docs\/diagnostics\/FC0\d{3}\.md$/);
    await change(PLAN);
    await client.diagnostics(MAIN, (each) => each.length === 0);
  });

  it('fixes what it suggests', async () => {
    const text = PLAN.replace('mesh (pp: 8)', 'mesh (pp: 8), batsh: 4 requests');
    await change(text);
    const [found] = await client.diagnostics(MAIN, (each) => codes(each).includes('FC0301'));
    const actions = await about<CodeAction[]>('textDocument/codeAction', {
      range: found!.range,
      context: { diagnostics: [found] },
    });
    expect(actions[0]).toMatchObject({
      title: 'Change to `batch`',
      edit: { changes: { [MAIN]: [{ newText: 'batch' }] } },
    });
    // An edit above moves the place, and the server is asked before it has looked at the text again.
    await change(`// here\n${text}`);
    const stale = await about<CodeAction[]>('textDocument/codeAction', {
      range: found!.range,
      context: { diagnostics: [found] },
    });
    expect(stale).toEqual([]);
    await change(PLAN);
  });

  it('completes, hovers, goes to definitions and shows signatures', async () => {
    const items = await ask<CompletionItem[]>(
      'textDocument/completion',
      PLAN.replace('for small', 'for ‸small'),
    );
    expect(items.map(({ label }) => label)).toContain('small');
    const hover = await ask<Hover>('textDocument/hover', PLAN.replace('for small', 'for sm‸all'));
    expect(hover.contents).toMatchObject({ value: expect.stringContaining('A small model.') as string });
    const definition = await ask<Location>('textDocument/definition', PLAN.replace('on box', 'on b‸ox'));
    expect(definition).toMatchObject({ uri: uriOf('world.plan'), range: { start: { line: 1 } } });
    const help = await ask<SignatureHelp>('textDocument/signatureHelp', PLAN.replace('tp: 4, ', 'tp: 4, ‸'));
    expect(help).toMatchObject({ activeParameter: 1 });
  });

  it('finds references and renames across files that are open and that are not', async () => {
    const at = PLAN.replace('for small', 'for sm‸all');
    const references = await ask<Location[]>('textDocument/references', at, {
      context: { includeDeclaration: true },
    });
    expect(references.map(({ uri }) => uri).sort()).toEqual([MAIN, MAIN, uriOf('world.plan')]);
    const edit = await ask<WorkspaceEdit>('textDocument/rename', at, { newName: 'tiny' });
    expect(Object.keys(edit.changes!).sort()).toEqual([MAIN, uriOf('world.plan')]);
    expect(edit.changes![MAIN]).toHaveLength(2);
    await expect(ask('textDocument/rename', at, { newName: 'no name' })).rejects.toThrow('is not a name');
  });

  it('outlines, folds, colours, links and lays out', async () => {
    const outline = await about<DocumentSymbol[]>('textDocument/documentSymbol');
    expect(outline.map(({ name, children }) => [name, children?.length])).toEqual([['p', 2]]);
    const symbols = await client.connection.sendRequest<SymbolInformation[]>('workspace/symbol', {
      query: 'SMA',
    });
    expect(symbols).toMatchObject([{ name: 'small', location: { uri: uriOf('world.plan') } }]);
    expect(await about<FoldingRange[]>('textDocument/foldingRange')).toEqual([{ startLine: 1, endLine: 3 }]);
    const tokens = await about<SemanticTokens>('textDocument/semanticTokens/full');
    expect(tokens.data.length).toBeGreaterThan(100);
    expect(tokens.data.length % 5).toBe(0);
    expect(await about<DocumentLink[]>('textDocument/documentLink')).toMatchObject([
      { target: uriOf('world.plan') },
    ]);
    await change(PLAN.replace('plan p', 'plan   p'));
    const edits = await about<TextEdit[]>('textDocument/formatting', {
      options: { tabSize: 2, insertSpaces: true },
    });
    expect(edits).toMatchObject([{ newText: expect.stringContaining('plan p for') as string }]);
    await change(PLAN);
  });

  it('sees a file as it is open, and tells those that import it', async () => {
    await client.diagnostics(MAIN, (found) => found.length === 0);
    await open('world.plan', WORLD.replace('model small', 'model large'));
    expect(codes(await client.diagnostics(MAIN, (found) => found.length > 0))).toContain('FC0204');
    await client.connection.sendNotification('textDocument/didClose', {
      textDocument: { uri: uriOf('world.plan') },
    });
    // Closed without being saved, the file is what it is on disk.
    await client.diagnostics(MAIN, (found) => found.length === 0);
  });

  it('asks editors that watch files to watch plan files, and those of requests', () => {
    expect(client.registrations).toMatchObject([
      {
        method: 'workspace/didChangeWatchedFiles',
        registerOptions: { watchers: [{ globPattern: '**/*.plan' }, { globPattern: '**/*.jsonl' }] },
      },
    ]);
  });

  it('sees files change, go and come back on disk', async () => {
    const told = (): Promise<void> =>
      client.connection.sendNotification('workspace/didChangeWatchedFiles', {
        changes: [{ uri: uriOf('world.plan'), type: 2 }],
      });
    await change(`${PLAN}\n`);
    await client.diagnostics(MAIN, (found) => found.length === 0);
    writeFileSync(join(folder, 'world.plan'), WORLD.replace('model small', 'model large'));
    await told();
    expect(codes(await client.diagnostics(MAIN, (found) => found.length > 0))).toContain('FC0204');
    rmSync(join(folder, 'world.plan'));
    await told();
    await client.diagnostics(MAIN, (found) => codes(found).includes('FC0203'));
    writeFileSync(join(folder, 'world.plan'), WORLD);
    await told();
    await client.diagnostics(MAIN, (found) => found.length === 0);
  });

  it('sees files of requests come and change', async () => {
    const told = (): Promise<void> =>
      client.connection.sendNotification('workspace/didChangeWatchedFiles', {
        changes: [{ uri: uriOf('mine.jsonl'), type: 2 }],
      });
    const workload = 'workload mine { requests: "mine.jsonl" }';
    await change(`${PLAN}${workload}\n`);
    await client.diagnostics(MAIN, (found) => codes(found).includes('FC0322'));
    writeFileSync(join(folder, 'mine.jsonl'), '{"prompt": 8, "output": 4}\n');
    await told();
    await client.diagnostics(MAIN, (found) => found.length === 0);
    writeFileSync(join(folder, 'mine.jsonl'), 'nonsense\n');
    await told();
    const [found] = await client.diagnostics(MAIN, (each) => each.length > 0);
    expect(found!.message).toContain('mine.jsonl:1:1: the line is not JSON');
    await change(PLAN);
    await client.diagnostics(MAIN, (each) => each.length === 0);
  });

  it('looks into files that come and not into those that are gone', async () => {
    const told = (type: number): Promise<void> =>
      client.connection.sendNotification('workspace/didChangeWatchedFiles', {
        changes: [{ uri: uriOf('later.plan'), type }],
      });
    const symbols = async (): Promise<string[]> => {
      const found = await client.connection.sendRequest<SymbolInformation[]>('workspace/symbol', {
        query: 'later',
      });
      return found.map(({ location: { uri } }) => uri);
    };
    expect(await symbols()).toEqual([]);
    writeFileSync(join(folder, 'later.plan'), 'param later: int = 1\n');
    await told(1);
    expect(await symbols()).toEqual([uriOf('later.plan')]);
    rmSync(join(folder, 'later.plan'));
    expect(await symbols()).toEqual([]);
    await told(3);
    expect(await symbols()).toEqual([]);
  });

  describe('of documents that are called otherwise', () => {
    const openAs = (uri: string, text: string): Promise<void> =>
      client.connection.sendNotification('textDocument/didOpen', {
        textDocument: { uri, languageId: 'plan', version: 1, text },
      });
    const close = (uri: string): Promise<void> =>
      client.connection.sendNotification('textDocument/didClose', { textDocument: { uri } });

    it('speaks as the editor does', async () => {
      const uri = `${pathToFileURL(folder).href}/a%2Bb%20%28x%29%40.plan`;
      await openAs(uri, 'param a: int = 1 GB\nparam b: int = 2\n');
      const found = await client.diagnostics(uri, (each) => each.length > 0);
      expect(found).toHaveLength(1);
      const [at] = await client.connection.sendRequest<Location[]>('textDocument/references', {
        textDocument: { uri },
        position: { line: 1, character: 6 },
        context: { includeDeclaration: true },
      });
      expect(at!.uri).toBe(uri);
      await close(uri);
      expect(await client.diagnostics(uri, (each) => each.length === 0)).toEqual([]);
    });

    it.each(['untitled:Untitled-1', 'file://server/share/a.plan', 'file:///a%2Fb.plan'])(
      'answers where there is no file: %s',
      async (uri) => {
        const text = `import { l4 } from "std/aws"\nimport { x } from "./x.plan"\n${WORLD}workload w { requests: "w.jsonl" }
model m { source: "./m" }\nplan p for small on box { stage serve: prefill + decode on gpu { mesh (tp: 4) } }\n`;
        await openAs(uri, text);
        const found = await client.diagnostics(uri, (each) => codes(each).includes('FC0322'));
        expect(codes(found).sort()).toEqual(['FC0203', 'FC0312', 'FC0322', 'FC0405']);
        const { line, character } = cursorPosition(text.replace('for small', 'for sm‸all'));
        const hover = await client.connection.sendRequest<Hover>('textDocument/hover', {
          textDocument: { uri },
          position: { line, character },
        });
        expect(hover.contents).toMatchObject({ value: expect.stringContaining('A small model.') as string });
        const definition = await client.connection.sendRequest<Location>('textDocument/definition', {
          textDocument: { uri },
          position: { line, character },
        });
        expect(definition.uri).toBe(uri);
        await close(uri);
        await client.diagnostics(uri, (each) => each.length === 0);
      },
    );

    it('says nothing of documents of other schemes', async () => {
      const uri = 'git:/a.plan?ref';
      await openAs(uri, 'plan p {');
      const asked = { textDocument: { uri }, position: { line: 0, character: 2 } };
      expect(await client.connection.sendRequest('textDocument/hover', asked)).toBeNull();
    });
  });

  it('reports a circle of imports with the way round', async () => {
    writeFileSync(join(folder, 'world.plan'), `import { p } from "./main.plan"\n${WORLD}`);
    await change(`${PLAN}// again\n`);
    const found = await client.diagnostics(uriOf('world.plan'), (each) => each.length > 0);
    expect(found[0]!.message).toMatch(/main\.plan -> .*world\.plan -> .*main\.plan/);
    writeFileSync(join(folder, 'world.plan'), WORLD);
    await change(PLAN);
    await client.diagnostics(uriOf('world.plan'), (each) => each.length === 0);
  });

  it('answers for texts that are not plans at all', async () => {
    for (const text of ['', '{{{{', '"', readFileSync('package.json', 'utf8')]) {
      await change(text);
      for (const method of ['documentSymbol', 'foldingRange', 'semanticTokens/full', 'documentLink'])
        await about(`textDocument/${method}`);
      await ask('textDocument/completion', `‸${text}`);
      await ask('textDocument/hover', `‸${text}`);
    }
  });

  describe('while plans compile for long', () => {
    /** Layers that compile for longer than a test may take, and an error that the check finds. */
    const SOUND = `${WORLD}${PLAN.replace(/import.*\n/, '')}`;
    const many = SOUND.replace('layers: 8, hidden: 512', 'layers: 10000, hidden: 64').replace(
      'ffn: 1536',
      'ffn: 64',
    );
    const SLOW = `${many}plan q from nowhere { }\n`;
    const started = (): Promise<void> => new Promise((done) => setTimeout(done, 500));
    /** Waits until the one problem that a text has is told. */
    const set = async (text: string, problem: string): Promise<void> => {
      await change(text);
      await client.diagnostics(
        MAIN,
        ([found, ...rest]) => rest.length === 0 && found?.message.includes(problem) === true,
      );
    };

    it('checks other files, and a newer text of the same', async () => {
      await set(SLOW, '`nowhere`');
      await started();
      await open('other.plan', 'plan q from nothing { }\n');
      expect(codes(await client.diagnostics(uriOf('other.plan'), (each) => each.length > 0))).toEqual([
        'FC0201',
      ]);
      await client.connection.sendNotification('textDocument/didClose', {
        textDocument: { uri: uriOf('other.plan') },
      });
      await set(SLOW.replace('nowhere', 'elsewhere'), '`elsewhere`');
    }, 40_000);

    it('compiles a newer text of the same before long', async () => {
      await set(SLOW, '`nowhere`');
      await started();
      const hinted = client.hintsChanged();
      await change(SOUND);
      await hinted;
      expect(await client.diagnostics(MAIN, () => true)).toEqual([]);
      const range = { start: { line: 0, character: 0 }, end: { line: 99, character: 0 } };
      const hints = await about<InlayHint[]>('textDocument/inlayHint', { range });
      expect(hints.map(({ label }) => label)).toContainEqual(expect.stringMatching(/weights .* KV room/));
    }, 40_000);
  });

  it('is started by the VS Code extension, which shows what it reports', async () => {
    await bundleExtension(folder);
    const text = 'model m { source: "./m", wieghts: f32 }\n';
    const file = join(folder, 'extended.plan');
    writeFileSync(file, text);
    const command = [process.execPath, client.program, 'lsp'];
    const editor = spawn(
      process.execPath,
      ['test/editor/lsp/vscode-host.mjs', join(folder, 'extension.cjs'), file, text, ...command],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const ended = new Promise<number | null>((done) => editor.once('exit', done));
    const seen: { started?: boolean; uri?: string; codes?: readonly string[] }[] = [];
    for await (const line of createInterface(editor.stdout)) {
      seen.push(JSON.parse(line) as (typeof seen)[number]);
      if (seen.at(-1)!.codes?.includes('FC0301')) editor.stdin.end();
    }
    expect(await ended).toBe(0);
    expect(seen).toContainEqual({ started: true });
    expect(seen.at(-1)).toMatchObject({ uri: uriOf('extended.plan') });
  }, 60_000);

  it('ends when it is told to', async () => {
    expect(await client.stop()).toBe(0);
  });
});
