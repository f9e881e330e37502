/**
 * What names mean while a file is checked. A scope is one file's names, its own and its imports; a context adds
 * the values of params and the place where findings go. Both are values: looking into another file is a new context.
 */
import { suggest } from '../../grammar/did-you-mean.js';
import type { Comment } from '../../grammar/lex.js';
import type {
  DeviceDecl,
  ModelDecl,
  Name,
  ParamDecl,
  PlanDecl,
  SourceFile,
  Span,
  TopologyDecl,
  WorkloadDecl,
} from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic, Fix, Origin } from '../diagnostics/diagnostic.js';
import { insertion, replacement } from './fixes.js';
import type { CompilerHost } from '../host.js';

export type NamedDecl = DeviceDecl | ModelDecl | ParamDecl | PlanDecl | TopologyDecl | WorkloadDecl;

/** A name's meaning: a declaration and the file it stands in, which is where its own names are looked up. */
export interface Binding {
  readonly decl: NamedDecl;
  readonly scope: Scope;
}

export interface Scope {
  readonly path: string;
  readonly file: SourceFile;
  /** Comments of the file, in source order. */
  readonly comments: readonly Comment[];
  readonly names: ReadonlyMap<string, Binding>;
}

export type ParamValue = number | string | boolean;

export interface Context {
  readonly scope: Scope;
  readonly host: CompilerHost;
  readonly report: (diagnostic: Diagnostic) => void;
  /** The library file that declares a name of this kind. */
  readonly library: (name: string, kind: NamedDecl['kind']) => string | undefined;
  /** Value of a param in this round of checking; undefined when its declaration is in error. */
  readonly param: (decl: ParamDecl) => ParamValue | undefined;
}

/** The same context, looking at another file. */
export function within(cx: Context, scope: Scope): Context {
  return cx.scope === scope ? cx : { ...cx, scope };
}

/** A span of the context's file. */
export function at(cx: Context, node: { readonly span: Span }): Origin {
  return { file: cx.scope.path, span: node.span };
}

/** Help line and fix for a misspelt word, empty when nothing is near. */
export function didYouMean(
  origin: Origin,
  word: string,
  candidates: Iterable<string>,
): { readonly helps: readonly string[]; readonly fixes: readonly Fix[] } {
  const near = suggest(word, [...candidates]);
  return near === undefined ? { helps: [], fixes: [] } : meant(origin, near);
}

/** That a word was meant in place of the one written. */
export function meant(
  origin: Origin,
  near: string,
): { readonly helps: readonly [string]; readonly fixes: readonly [Fix] } {
  return {
    helps: [`did you mean \`${near}\`?`],
    fixes: [{ title: `Change to \`${near}\``, edits: [{ origin, newText: near }] }],
  };
}

const list = (names: readonly string[]): string => names.map((n) => `\`${n}\``).join(', ');

/** Adds "the X here are a, b" to the suggestions when there are few enough to read. */
export function suggestions(
  origin: Origin,
  word: string,
  names: readonly string[],
  kind: string,
): { readonly helps: readonly string[]; readonly fixes: readonly Fix[] } {
  // What has no name yet cannot be meant.
  const candidates = names.filter((name) => name !== '');
  const near = didYouMean(origin, word, candidates);
  if (near.helps.length > 0 || candidates.length === 0 || candidates.length > 12) return near;
  return { helps: [`known here: ${list(candidates)} (${kind})`], fixes: [] };
}

/** As {@link suggestions}, with a fix for each candidate where none is near and they are few. */
export function choices(
  origin: Origin,
  word: string,
  names: readonly string[],
  kind: string,
): { readonly helps: readonly string[]; readonly fixes: readonly Fix[] } {
  const candidates = names.filter((name) => name !== '');
  const near = suggestions(origin, word, candidates, kind);
  if (near.fixes.length > 0 || candidates.length > MOST_CHOICES) return near;
  return { ...near, fixes: candidates.map((candidate) => replacement(origin, candidate)) };
}

/** Choices that are offered where each would do. */
export const MOST_CHOICES = 4;

/** Suggestions for a name that stands for nothing: a near one, and the library file that declares it. */
function unknownName(
  cx: Context,
  name: Name,
  kind: NamedDecl['kind'],
  candidates: readonly string[],
): { readonly helps: readonly string[]; readonly fixes: readonly Fix[] } {
  const near = suggestions(at(cx, name), name.text, candidates, kind);
  const found = cx.library(name.text, kind);
  if (found === undefined)
    return near.helps.length > 0
      ? near
      : { ...near, helps: [`declare it with \`${kind} ${name.text}\`, or import it from a file that does`] };
  const { items } = cx.scope.file;
  const last = items.findLast((item) => item.kind === 'import' || item.kind === 'language');
  const line = `import { ${name.text} } from "${found}"`;
  const fix =
    last === undefined
      ? insertion(cx, 0, `${line}\n`, `Add \`${line}\``)
      : insertion(cx, last.span.end, `\n${line}`, `Add \`${line}\``);
  return {
    helps: [...near.helps, `"${found}" declares it: \`${line}\``],
    fixes: [...(isImportBegun(cx, name.text, found) ? [] : [fix]), ...near.fixes],
  };
}

/** Whether there is an import already that a name of a library file is to come by, once what is wrong with it is mended. */
function isImportBegun({ scope }: Context, name: string, file: string): boolean {
  return scope.file.items.some((item) => {
    if (item.kind !== 'import') return false;
    const names = item.names.map((each) => (each.alias ?? each.name).text);
    if (item.from.kind === 'error') return names.length === 0 || names.includes(name);
    const isSound = names.length > 0 && names.every((each) => scope.names.has(each));
    return names.includes(name) || (item.from.value === file && !isSound);
  });
}

type DeclOf<K extends NamedDecl['kind']> = Extract<NamedDecl, { readonly kind: K }>;

/** The declaration of kind `kind` that `name` stands for; reports and answers undefined when there is none. */
export function lookUp<K extends NamedDecl['kind']>(
  cx: Context,
  name: Name,
  kind: K,
): { readonly decl: DeclOf<K>; readonly cx: Context } | undefined {
  // Where a name is missing, the parser has said so.
  if (name.text === '') return undefined;
  const binding = cx.scope.names.get(name.text);
  const primary = at(cx, name);
  if (!binding) {
    const candidates = [...cx.scope.names].filter(([, b]) => b.decl.kind === kind).map(([n]) => n);
    cx.report(
      report(
        'unknown-name',
        { kind, name: name.text },
        { primary, ...unknownName(cx, name, kind, candidates) },
      ),
    );
    return undefined;
  }
  if (binding.decl.kind !== kind) {
    const ofKind = [...cx.scope.names].filter(([, b]) => b.decl.kind === kind).map(([n]) => n);
    const fixes = ofKind.length <= MOST_CHOICES ? ofKind.map((n) => replacement(primary, n)) : [];
    cx.report(
      report(
        'wrong-kind',
        { name: name.text, is: binding.decl.kind, needed: kind },
        {
          primary,
          related: [
            {
              file: binding.scope.path,
              span: binding.decl.name.span,
              label: `declared as a ${binding.decl.kind}`,
            },
          ],
          helps: fixes.length > 0 ? [] : [`name a ${kind}, declared here or imported`],
          fixes,
        },
      ),
    );
    return undefined;
  }
  return { decl: binding.decl as DeclOf<K>, cx: within(cx, binding.scope) };
}
