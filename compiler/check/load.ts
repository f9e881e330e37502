/**
 * Reads a plan file and all that it imports into scopes. Every file is parsed once; a file that cannot be found or
 * that is part of an import circle leaves its names unbound, and the rest is checked all the same.
 */
import { parse } from '../../grammar/parse.js';
import type { SyntaxProblem } from '../../grammar/syntax-problems.js';
import type { Item } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic, Fix, Origin } from '../diagnostics/diagnostic.js';
import { syntaxFixes } from '../diagnostics/syntax-fixes.js';
import type { CompilerHost } from '../host.js';
import { STD_LIBRARY } from '../std/library.generated.js';
import { replacement } from './fixes.js';
import { didYouMean, meant, suggestions, type Binding, type Scope } from './scope.js';

/** Suggestions for a name that a file does not declare. */
function declaredThere(
  origin: Origin,
  name: string,
  known: readonly string[],
  module: string,
): ReturnType<typeof suggestions> {
  const near = suggestions(origin, name, known, `names of "${module}"`);
  return known.length > 0 ? near : { ...near, helps: [`"${module}" declares nothing`] };
}

export interface Loaded {
  /** The scope of the file asked for; undefined when it could not be read. */
  readonly root: Scope | undefined;
  /** All files by path, the library's under `std/...`. */
  readonly scopes: ReadonlyMap<string, Scope>;
}

const STD = 'std/';

/** Of plan files; those of the library are named without it. */
const ENDING = '.plan';

/** Loads `path`; findings go to `tell`. */
export function load(host: CompilerHost, path: string, tell: (d: Diagnostic) => void): Loaded {
  const scopes = new Map<string, Scope>();
  const loading: string[] = [];

  const open = (file: string, text: string): Scope => {
    const parsed = file.startsWith(STD) ? parseLibrary(file, text) : parse(text, file);
    for (const problem of parsed.errors) tell(fromSyntax(problem, file, text));
    const names = new Map<string, Binding>();
    const scope: Scope = { path: file, file: parsed.file, comments: parsed.comments, names };
    scopes.set(file, scope);
    loading.push(file);
    for (const item of parsed.file.items) bind(scope, names, item);
    loading.pop();
    return scope;
  };

  const bind = (scope: Scope, names: Map<string, Binding>, item: Item): void => {
    if (item.kind === 'import') bindImport(scope, names, item);
    else if (item.kind === 'language') checkEdition(scope, item, tell);
    else if (item.kind !== 'unknown') declare(names, item.name, { decl: item, scope }, scope);
  };

  const declare = (
    names: Map<string, Binding>,
    name: { readonly text: string; readonly span: Origin['span'] },
    binding: Binding,
    scope: Scope,
  ): void => {
    if (name.text === '') return;
    const earlier = names.get(name.text);
    if (!earlier) {
      names.set(name.text, binding);
      return;
    }
    if (earlier.decl === binding.decl) return;
    tell(
      report(
        'duplicate-name',
        { name: name.text, kind: earlier.decl.kind },
        {
          primary: { file: scope.path, span: name.span },
          related: [{ file: earlier.scope.path, span: earlier.decl.name.span, label: 'declared here first' }],
          fixes: [renamed({ file: scope.path, span: name.span }, name.text, names, binding)],
        },
      ),
    );
  };

  const bindImport = (
    scope: Scope,
    names: Map<string, Binding>,
    item: Extract<Item, { kind: 'import' }>,
  ): void => {
    if (item.from.kind === 'error') return;
    const module = item.from.value;
    const primary: Origin = { file: scope.path, span: item.from.span };
    const target = find(scope, module, primary);
    if (!target) return;
    for (const { name, alias } of item.names) {
      // What a file imports it also offers, so that a library file is complete by itself.
      const binding = target.names.get(name.text);
      if (binding) {
        declare(names, alias ?? name, binding, scope);
        continue;
      }
      if (name.text === '') continue;
      const origin: Origin = { file: scope.path, span: name.span };
      const known = [...target.names.keys()];
      tell(
        report(
          'not-declared-there',
          { name: name.text, module },
          { primary: origin, ...declaredThere(origin, name.text, known, module) },
        ),
      );
    }
  };

  const find = (from: Scope, module: string, primary: Origin): Scope | undefined => {
    const std = module.startsWith(STD);
    const path = std ? module : host.resolve(from.path, module);
    if (loading.includes(path)) {
      const cycle = [...loading.slice(loading.indexOf(path)), path];
      tell(report('import-cycle', { cycle }, { primary, helps: ['move what both need into a third file'] }));
      return undefined;
    }
    const earlier = scopes.get(path);
    if (earlier) return earlier;
    const text = std
      ? Object.hasOwn(STD_LIBRARY, module)
        ? STD_LIBRARY[module]
        : undefined
      : host.readText(path);
    if (typeof text === 'string') return open(path, text);
    const whole = `${module}${ENDING}`;
    const isThere = !std && typeof host.readText(host.resolve(from.path, whole)) === 'string';
    const near = isThere ? meant(primary, whole) : didYouMean(primary, module, Object.keys(STD_LIBRARY));
    const looked = text === undefined ? `looked for ${path}` : `${path} ${text.why}`;
    tell(
      report(
        'unknown-module',
        { module },
        {
          primary,
          notes: std ? [`the library has ${Object.keys(STD_LIBRARY).join(', ')}`] : [looked],
          helps:
            std || near.helps.length > 0
              ? near.helps.map((h) => h.replaceAll('`', '"'))
              : ['paths begin where the file that imports is'],
          fixes: near.fixes.map((f) => ({
            title: f.title,
            edits: f.edits.map((e) => ({ ...e, newText: JSON.stringify(e.newText) })),
          })),
        },
      ),
    );
    return undefined;
  };

  const text = host.readText(path);
  if (typeof text !== 'string') {
    const why = text === undefined ? 'there is no such file' : `it ${text.why}`;
    tell(report('unreadable-file', { file: path }, { notes: [why] }));
    return { root: undefined, scopes };
  }
  return { root: open(path, text), scopes };
}

/** Another name for a second declaration: the first that is free. */
function renamed(
  origin: Origin,
  name: string,
  taken: ReadonlyMap<string, unknown>,
  { decl, scope }: Binding,
): Fix {
  let number = 2;
  while (taken.has(`${name}_${number}`)) number++;
  const other = `${name}_${number}`;
  // What comes from another file keeps its name there.
  const imported = scope.path !== origin.file && decl.name.text === name;
  return replacement(origin, imported ? `${name} as ${other}` : other, `Rename to \`${other}\``);
}

/** Trees of library files: their texts are constants, so each is parsed once however many files import it. */
const library = new Map<string, ReturnType<typeof parse>>();

function parseLibrary(file: string, text: string): ReturnType<typeof parse> {
  const known = library.get(file);
  if (known?.file.text === text) return known;
  const parsed = parse(text, file);
  library.set(file, parsed);
  return parsed;
}

/** The library file that declares `name` as something of the kind. */
export function libraryFileOf(name: string, kind: string): string | undefined {
  return Object.keys(STD_LIBRARY).find((module) =>
    parseLibrary(module, STD_LIBRARY[module]!).file.items.some(
      (item) => item.kind === kind && 'name' in item && item.name.text === name,
    ),
  );
}

/** The edition this compiler reads. */
const EDITION = 1;

function checkEdition(
  scope: Scope,
  item: Extract<Item, { kind: 'language' }>,
  tell: (d: Diagnostic) => void,
): void {
  if (item.edition.kind === 'error' || item.edition.value === EDITION) return;
  const origin: Origin = { file: scope.path, span: item.edition.span };
  tell(
    report(
      'unknown-edition',
      { edition: item.edition.value },
      {
        primary: origin,
        helps: [`this compiler reads edition ${EDITION}`],
        fixes: [{ title: `Change to ${EDITION}`, edits: [{ origin, newText: String(EDITION) }] }],
      },
    ),
  );
}

/** A problem of the parser in the text of `file` as a diagnostic. */
export function fromSyntax(problem: SyntaxProblem, file: string, text: string): Diagnostic {
  return {
    code: problem.code,
    slug: problem.slug,
    severity: 'error',
    message: problem.message,
    primary: { file, span: problem.span },
    related: [],
    notes: [],
    helps: problem.helps,
    fixes: syntaxFixes(problem, file, text),
    data: problem.data,
  };
}

/** All syntax trees of a load, for callers that show source text. */
export function textsOf(loaded: Loaded): ReadonlyMap<string, string> {
  return new Map([...loaded.scopes].map(([path, scope]): [string, string] => [path, scope.file.text]));
}
