/**
 * Stands in for VS Code: the little of its interface that a language client asks of it, for one open document. Loads the
 * extension that is named first on the command line, and prints every set of diagnostics that it shows as a line of JSON.
 * Started as a process of its own; ends when its input does.
 */
import Module, { createRequire } from 'node:module';
import process from 'node:process';
import { fileURLToPath, pathToFileURL, URL } from 'node:url';

const [, , extension, file, text, ...command] = process.argv;
const dispose = () => undefined;
const disposable = () => ({ dispose });
const event = () => disposable();

/** Anything that nobody looks at here: can be called, made and derived from. */
function anything() {
  const known = new Map();
  return new Proxy(function () {}, {
    get(target, key) {
      if (key === 'then') return undefined;
      if (typeof key === 'symbol' || Reflect.has(target, key)) return Reflect.get(target, key);
      if (!known.has(key)) known.set(key, anything());
      return known.get(key);
    },
    apply: disposable,
  });
}

class Uri {
  constructor(href) {
    const { protocol, pathname } = new URL(href);
    Object.assign(this, {
      scheme: protocol.slice(0, -1),
      path: pathname,
      authority: '',
      query: '',
      fragment: '',
    });
    this.href = href;
  }
  get fsPath() {
    return fileURLToPath(this.href);
  }
  toString() {
    return this.href;
  }
  static parse(href) {
    return new Uri(href);
  }
  static file(path) {
    return new Uri(pathToFileURL(path).href);
  }
}
function Position(line, character) {
  Object.assign(this, { line, character });
}
function Range(start, startCharacter, line, character) {
  const plain = typeof start === 'number';
  this.start = plain ? new Position(start, startCharacter) : start;
  this.end = plain ? new Position(line, character) : startCharacter;
}
function Diagnostic(range, message, severity) {
  Object.assign(this, { range, message, severity });
}
class EventEmitter {
  constructor() {
    this.listeners = [];
    this.event = (listener) => {
      this.listeners.push(listener);
      return disposable();
    };
  }
  fire(value) {
    for (const listener of this.listeners) listener(value);
  }
  dispose() {}
}
class CancellationTokenSource {
  token = { isCancellationRequested: false, onCancellationRequested: event };
  cancel() {}
  dispose() {}
}

const document = {
  uri: Uri.file(file),
  fileName: file,
  languageId: 'plan',
  version: 1,
  isClosed: false,
  isDirty: false,
  lineCount: text.split('\n').length,
  getText: () => text,
};
const show = (uri, diagnostics) =>
  process.stdout.write(
    `${JSON.stringify({ uri: String(uri), codes: diagnostics.map(({ code }) => code?.value ?? code) })}\n`,
  );
const collection = { set: show, delete: dispose, clear: dispose, forEach: dispose, dispose };
const channel = {
  append: dispose,
  appendLine: (line) => process.stderr.write(`${line}\n`),
  show: dispose,
  clear: dispose,
  dispose,
};
const over = (known) => {
  const rest = anything();
  return new Proxy(known, {
    get: (target, key) =>
      key in target ? target[key] : typeof key === 'string' && key.startsWith('on') ? event : rest[key],
  });
};
const vscode = over({
  version: '1.91.0',
  env: { language: 'en', appName: 'test', appHost: 'desktop' },
  workspace: over({
    textDocuments: [document],
    workspaceFolders: undefined,
    notebookDocuments: [],
    isTrusted: true,
    getConfiguration: () => ({ get: (name, standard) => (name === 'server.command' ? command : standard) }),
    createFileSystemWatcher: () => over({}),
  }),
  window: over({
    createOutputChannel: () => channel,
    visibleTextEditors: [],
    tabGroups: over({ all: [] }),
    activeTextEditor: undefined,
    showErrorMessage: (message) => Promise.resolve(process.stderr.write(`${message}\n`)),
  }),
  languages: over({
    match: () => 10,
    createDiagnosticCollection: () => collection,
  }),
  commands: over({ registerCommand: disposable }),
  Disposable: class {
    static from = disposable;
    dispose() {}
  },
  Uri,
  Position,
  Range,
  Diagnostic,
  EventEmitter,
  CancellationTokenSource,
  DiagnosticSeverity: { Error: 0, Warning: 1, Information: 2, Hint: 3 },
});
const load = Module._load;
Module._load = (name, ...rest) => (name === 'vscode' ? vscode : load(name, ...rest));

const { activate, deactivate } = createRequire(import.meta.url)(extension);
process.stdin.resume();
process.stdin.on('end', async () => {
  await deactivate();
  process.exit(0);
});
void activate({ subscriptions: [] }).then(() => process.stdout.write('{"started":true}\n'));
