/**
 * The language server. Texts, tokens and trees are kept here and answer at once; diagnostics of plans and figures come
 * from the analyst's thread when they are ready, and are shown only while they are of the text as it is.
 */
import { pathToFileURL } from 'node:url';
import {
  CodeActionKind,
  DidChangeWatchedFilesNotification,
  ErrorCodes,
  FileChangeType,
  ResponseError,
  TextDocumentSyncKind,
  type Connection,
  type InitializeParams,
  type InitializeResult,
  type TextEdit,
} from 'vscode-languageserver/node.js';
import { fromSyntax } from '../../compiler/check/load.js';
import { formatPlan } from '../../grammar/format.js';
import { openAnalyst, type Analyst } from './analyst.js';
import type { Analysis } from './analysis.js';
import { completionsAt, namesFiles } from './completion.js';
import { codeActions, diagnosticsByFile, type DiagnosticContext } from './diagnostics.js';
import type { PlanDocument } from './document.js';
import { foldsOf } from './folding.js';
import { hintsOf } from './hints.js';
import { hoverAt } from './hover.js';
import { dependenciesOf } from './imports.js';
import { definitionAt, linksIn, referencesAt, rename, renameable, type Location } from './navigation.js';
import type { PlanNote } from './plan-notes.js';
import { semanticTokens, TOKEN_MODIFIERS, TOKEN_TYPES } from './semantic-tokens.js';
import { signatureAt } from './signature.js';
import { outlineOf } from './symbols.js';
import { applyChanges, toOffset, toRange } from './text.js';
import { isLocal, pathOfUri, uriOfPath } from './uri.js';
import { createWorkspace, type Workspace } from './workspace.js';
import { workspaceEdit, type ToWorkspaceEdit } from './workspace-edit.js';

export interface ServerOptions {
  readonly version: string;
  /** Path of the page of a code, and of a library file, on this machine. */
  readonly pageOf?: (code: string) => string | undefined;
  readonly libraryFile?: (module: string) => string | undefined;
  /** Milliseconds without a change before a file is analysed. */
  readonly settle?: number;
}

/** A pause that is shorter than one between words. */
const SETTLE_MS = 150;

const CAPABILITIES: InitializeResult['capabilities'] = {
  textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
  completionProvider: { triggerCharacters: [' ', '.', ':', '(', '"', '{', ','] },
  hoverProvider: true,
  definitionProvider: true,
  referencesProvider: true,
  renameProvider: { prepareProvider: true },
  documentSymbolProvider: true,
  workspaceSymbolProvider: true,
  foldingRangeProvider: true,
  semanticTokensProvider: {
    legend: { tokenTypes: [...TOKEN_TYPES], tokenModifiers: [...TOKEN_MODIFIERS] },
    full: true,
  },
  signatureHelpProvider: { triggerCharacters: ['(', ','] },
  codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
  documentFormattingProvider: true,
  documentLinkProvider: {},
  inlayHintProvider: true,
};

/** What others may change meanwhile: a file that is imported or holds requests, or all when a branch is switched. */
const WATCHED = { watchers: [{ globPattern: '**/*.plan' }, { globPattern: '**/*.jsonl' }] };

/** Serves a connection until it is closed. */
export function serve(connection: Connection, options: ServerOptions): void {
  let workspace = createWorkspace([]);
  let canRefreshHints = false;
  let canWatchFiles = false;
  let knowsVersions = false;
  let analyst: Analyst | undefined;
  /** The last analysis of each open file, with the document it is of. */
  const analysed = new Map<string, { readonly analysis: Analysis; readonly document: PlanDocument }>();
  /** URIs that have diagnostics on show, by the open file that they come from. */
  const shown = new Map<string, readonly string[]>();
  const timers = new Map<string, NodeJS.Timeout>();

  /** Open documents are spoken of as the editor does: a path can be written as several URIs. */
  const opened = new Map<string, { readonly uri: string; readonly version: number }>();
  const uriOf = (path: string): string =>
    opened.get(path)?.uri ?? uriOfPath(path, options.libraryFile ?? (() => undefined));
  const contextOf = (files: ReadonlyMap<string, string>): DiagnosticContext => ({
    files,
    uriOf,
    pageOf: (code) => {
      const page = options.pageOf?.(code);
      return page === undefined ? undefined : pathToFileURL(page).href;
    },
  });

  const publish = (
    path: string,
    diagnostics: Analysis['diagnostics'],
    files: ReadonlyMap<string, string>,
  ): void => {
    const byFile = diagnosticsByFile(diagnostics, path, contextOf(files));
    // What an import has wrong is shown there, unless that file is open and speaks for itself.
    const targets = [...byFile.keys()].filter((file) => file === path || !workspace.isOpen(file));
    const found = new Map([path, ...targets].map((file) => [uriOf(file), byFile.get(file) ?? []]));
    const gone = (shown.get(path) ?? []).filter((uri) => !found.has(uri));
    for (const uri of gone) void connection.sendDiagnostics({ uri, diagnostics: [] });
    // What is published for an open document is of its text as it is.
    const version = opened.get(path)?.version;
    for (const [uri, each] of found)
      void connection.sendDiagnostics({
        uri,
        ...(uri === uriOf(path) && version !== undefined && { version }),
        diagnostics: each,
      });
    shown.set(path, [...found.keys()]);
  };

  const ensureAnalyst = (): Analyst =>
    (analyst ??= openAnalyst({
      onAnalysis: (analysis) => {
        const { path, files } = analysis;
        const document = workspace.document(path);
        if (document === undefined || !workspace.isOpen(path) || files.get(path) !== document.text) return;
        analysed.set(path, { analysis, document });
        publish(path, analysis.diagnostics, files);
        if (analysis.rung !== 'checked' && canRefreshHints) void connection.languages.inlayHint.refresh();
      },
      onFailure: (message) => connection.console.error(message),
    }));

  /** Asks for the file if it is open, and for the open ones that depend on it, once nobody types. */
  const analyseSoon = (path: string): void => {
    clearTimeout(timers.get(path));
    const wait = setTimeout(() => {
      timers.delete(path);
      const texts = workspace.openTexts();
      const concerned = workspace
        .openPaths()
        .filter((other) => other !== path && dependenciesOf(workspace, other).has(path));
      const itself = workspace.isOpen(path) ? [path] : [];
      for (const each of [...itself, ...concerned]) ensureAnalyst().ask(each, texts);
    }, options.settle ?? SETTLE_MS);
    timers.set(path, wait);
  };

  const changed = (path: string): void => {
    const document = workspace.document(path)!;
    const known = analysed.get(path);
    // Problems of syntax are known at once; those of plans stay until the next analysis unless the text cannot be read.
    if (document.tree.errors.length > 0 || known === undefined)
      publish(
        path,
        document.tree.errors.map((problem) => fromSyntax(problem, path, document.text)),
        new Map([[path, document.text]]),
      );
    analyseSoon(path);
  };

  /** Notes of the last analysis that are still of this text. */
  const notesOf = (path: string): readonly PlanNote[] => {
    const known = analysed.get(path);
    return known !== undefined && known.document === workspace.document(path) ? known.analysis.notes : [];
  };

  connection.onInitialize((params) => {
    workspace = createWorkspace(foldersOf(params));
    const { inlayHint, didChangeWatchedFiles, workspaceEdit: edits } = params.capabilities.workspace ?? {};
    canRefreshHints = inlayHint?.refreshSupport === true;
    canWatchFiles = didChangeWatchedFiles?.dynamicRegistration === true;
    knowsVersions = edits?.documentChanges === true;
    return { capabilities: CAPABILITIES, serverInfo: { name: 'fulcrum', version: options.version } };
  });
  connection.onInitialized(async () => {
    if (canWatchFiles) await connection.client.register(DidChangeWatchedFilesNotification.type, WATCHED);
  });
  connection.onShutdown(async () => {
    for (const timer of timers.values()) clearTimeout(timer);
    await analyst?.close();
  });

  connection.onDidOpenTextDocument(({ textDocument: { uri, version, text } }) => {
    const path = pathOfUri(uri);
    if (path === undefined) return;
    opened.set(path, { uri, version });
    workspace.put(path, text);
    changed(path);
  });
  connection.onDidChangeTextDocument(({ textDocument: { uri, version }, contentChanges }) => {
    const path = pathOfUri(uri);
    if (path === undefined || !workspace.isOpen(path)) return;
    opened.set(path, { uri, version });
    workspace.put(path, applyChanges(workspace.document(path)!.text, contentChanges));
    changed(path);
  });
  connection.onDidCloseTextDocument(({ textDocument: { uri } }) => {
    const path = pathOfUri(uri);
    if (path === undefined) return;
    clearTimeout(timers.get(path));
    for (const shownAt of shown.get(path) ?? [])
      void connection.sendDiagnostics({ uri: shownAt, diagnostics: [] });
    for (const memory of [timers, shown, analysed, opened]) memory.delete(path);
    analyst?.forget(path);
    workspace.close(path);
    // What imports it reads the file on disk again, and shows there what that has wrong.
    analyseSoon(path);
  });
  connection.onDidChangeWatchedFiles(({ changes }) => {
    if (changes.some(({ type }) => type !== FileChangeType.Changed)) workspace.filesChanged();
    for (const { uri } of changes) {
      const path = pathOfUri(uri);
      if (path !== undefined && !workspace.isOpen(path)) analyseSoon(path);
    }
  });
  const toWorkspaceEdit: ToWorkspaceEdit = (edits) =>
    workspaceEdit(edits, knowsVersions, (uri) => opened.get(pathOfUri(uri) ?? '')?.version);
  answerQuestions(connection, () => workspace, { notesOf, uriOf, toWorkspaceEdit });
  connection.listen();
}

function foldersOf({ workspaceFolders, rootUri }: InitializeParams): readonly string[] {
  const uris = workspaceFolders?.map(({ uri }) => uri) ?? (rootUri === null ? [] : [rootUri]);
  return uris.flatMap((uri) => pathOfUri(uri) ?? []).filter(isLocal);
}

interface Answering {
  readonly notesOf: (path: string) => readonly PlanNote[];
  readonly uriOf: (path: string) => string;
  readonly toWorkspaceEdit: ToWorkspaceEdit;
}

/** The requests that are answered from texts, tokens, trees and the last notes. */
function answerQuestions(
  connection: Connection,
  workspaceOf: () => Workspace,
  { notesOf, uriOf, toWorkspaceEdit }: Answering,
): void {
  interface Asked {
    readonly workspace: Workspace;
    readonly document: PlanDocument;
    readonly path: string;
  }
  /** Answers for the document of a request; undefined where the server has none. */
  const about = <T>(uri: string, answer: (asked: Asked) => T): T | undefined => {
    const workspace = workspaceOf();
    const path = pathOfUri(uri);
    const document = path === undefined ? undefined : workspace.document(path);
    return path === undefined || document === undefined ? undefined : answer({ workspace, document, path });
  };
  const at = <T>(
    {
      textDocument,
      position,
    }: { textDocument: { uri: string }; position: { line: number; character: number } },
    answer: (asked: Asked & { readonly offset: number }) => T,
  ): T | undefined =>
    about(textDocument.uri, (asked) =>
      answer({ ...asked, offset: toOffset(asked.document.lines, position) }),
    );
  const locate = (workspace: Workspace, { path, span }: Location) => ({
    uri: uriOf(path),
    range: toRange(workspace.document(path)!.lines, span),
  });
  const refuse = (why: string): ResponseError => new ResponseError(ErrorCodes.InvalidRequest, why);

  connection.onCompletion(async (params) => {
    const asksForFiles = at(params, ({ workspace, path, offset }) => namesFiles(workspace, path, offset));
    if (asksForFiles === true) await workspaceOf().survey();
    return at(params, ({ workspace, path, offset }) => [...completionsAt(workspace, path, offset)]);
  });
  connection.onHover((params) =>
    at(params, ({ workspace, document, path, offset }) => {
      const hover = hoverAt(workspace, path, offset, notesOf(path));
      return (
        hover && {
          contents: { kind: 'markdown' as const, value: hover.text },
          range: toRange(document.lines, hover.span),
        }
      );
    }),
  );
  connection.onDefinition((params) =>
    at(params, ({ workspace, path, offset }) => {
      const found = definitionAt(workspace, path, offset);
      return found && locate(workspace, found);
    }),
  );
  connection.onReferences(async (params) => {
    await workspaceOf().survey();
    return at(params, ({ workspace, path, offset }) =>
      referencesAt(workspace, path, offset, params.context.includeDeclaration).map((each) =>
        locate(workspace, each),
      ),
    );
  });
  connection.onPrepareRename((params) =>
    at(params, ({ workspace, document, path, offset }) => {
      const may = renameable(workspace, path, offset);
      return typeof may === 'string'
        ? refuse(may)
        : { range: toRange(document.lines, may.span), placeholder: may.text };
    }),
  );
  connection.onRenameRequest(async (params) => {
    await workspaceOf().survey();
    return at(params, ({ workspace, path, offset }) => {
      const edits = rename(workspace, path, offset, params.newName);
      if (typeof edits === 'string') return refuse(edits);
      const byUri: Record<string, TextEdit[]> = {};
      for (const edit of edits) {
        const { uri, range } = locate(workspace, edit);
        (byUri[uri] ??= []).push({ range, newText: params.newName });
      }
      return toWorkspaceEdit(byUri);
    });
  });
  connection.onDocumentSymbol(({ textDocument }) =>
    about(textDocument.uri, ({ document }) => outlineOf(document)),
  );
  connection.onWorkspaceSymbol(async ({ query }) => {
    const workspace = workspaceOf();
    await workspace.survey();
    return workspace.allPaths().flatMap((path) =>
      outlineOf(workspace.document(path)!)
        .filter(({ name }) => name.toLowerCase().includes(query.toLowerCase()))
        .map(({ name, kind, selectionRange }) => ({
          name,
          kind,
          location: { uri: uriOf(path), range: selectionRange },
        })),
    );
  });
  connection.onFoldingRanges(({ textDocument }) =>
    about(textDocument.uri, ({ document }) => foldsOf(document)),
  );
  connection.languages.semanticTokens.on(({ textDocument }) => ({
    data: about(textDocument.uri, ({ workspace, document }) => semanticTokens(workspace, document)) ?? [],
  }));
  connection.onSignatureHelp((params) =>
    at(params, ({ workspace, path, offset }) => signatureAt(workspace, path, offset)),
  );
  connection.onCodeAction(({ context }) =>
    codeActions(context, { textNow: (uri) => about(uri, ({ document }) => document.text), toWorkspaceEdit }),
  );
  connection.onDocumentFormatting(({ textDocument }) =>
    about(textDocument.uri, ({ document, path }) => {
      const formatted = formatPlan(document.text, path);
      if (formatted.kind === 'broken' || formatted.text === document.text) return [];
      return [
        { range: toRange(document.lines, { start: 0, end: document.text.length }), newText: formatted.text },
      ];
    }),
  );
  connection.onDocumentLinks(({ textDocument }) =>
    about(textDocument.uri, ({ workspace, document, path }) =>
      linksIn(workspace, path).map(({ span, target }) => ({
        range: toRange(document.lines, span),
        target: uriOf(target),
      })),
    ),
  );
  connection.languages.inlayHint.on(({ textDocument, range }) =>
    about(textDocument.uri, ({ document, path }) => hintsOf(document, notesOf(path), range)),
  );
}
