/** Diagnostics of the compiler as the protocol has them, and the code actions of their fixes. */
import { createHash } from 'node:crypto';
import {
  CodeActionKind,
  DiagnosticSeverity,
  type CodeAction,
  type CodeActionContext,
  type Diagnostic as LspDiagnostic,
  type TextEdit,
} from 'vscode-languageserver/node.js';
import type { Diagnostic, Fix } from '../../compiler/diagnostics/diagnostic.js';
import { lineMap, type LineMap } from '../../grammar/line-map.js';
import { toRange } from './text.js';
import type { EditsByUri, ToWorkspaceEdit } from './workspace-edit.js';

const SEVERITIES = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
  note: DiagnosticSeverity.Information,
} as const;

export interface DiagnosticContext {
  /** Texts that the diagnostics point into, by path. */
  readonly files: ReadonlyMap<string, string>;
  readonly uriOf: (path: string) => string;
  /** Where the page of a code can be read. */
  readonly pageOf: ((code: string) => string | undefined) | undefined;
}

/** Diagnostics by the file that they point into; those without a place are put at the start of `path`. */
export function diagnosticsByFile(
  diagnostics: readonly Diagnostic[],
  path: string,
  context: DiagnosticContext,
): ReadonlyMap<string, LspDiagnostic[]> {
  const maps = new Map<string, LineMap>();
  const lines = (file: string): LineMap => {
    const known = maps.get(file) ?? lineMap(context.files.get(file) ?? '');
    maps.set(file, known);
    return known;
  };
  const byFile = new Map<string, LspDiagnostic[]>();
  for (const diagnostic of diagnostics) {
    const { code, slug, severity, message, primary, related, notes, helps, fixes } = diagnostic;
    const file = primary?.file ?? path;
    const page = context.pageOf?.(code);
    const shown: LspDiagnostic = {
      range: toRange(lines(file), primary?.span ?? { start: 0, end: 0 }),
      severity: SEVERITIES[severity],
      code,
      source: 'fulcrum',
      message: [message, ...notes, ...helps.map((help) => `help: ${help}`)].join('\n'),
      ...(page !== undefined && { codeDescription: { href: page } }),
      ...(related.length > 0 && {
        relatedInformation: related.map((each) => ({
          location: { uri: context.uriOf(each.file), range: toRange(lines(each.file), each.span) },
          message: each.label,
        })),
      }),
      data: { slug, fixes: fixes.map((fix) => readyFix(fix, context, lines)) },
    };
    byFile.set(file, [...(byFile.get(file) ?? []), shown]);
  }
  return byFile;
}

/** A fix that went out with a diagnostic, and came back with it. */
interface ReadyFix {
  readonly title: string;
  readonly edits: EditsByUri;
  /** Digests of the texts that the edits are of, by URI. */
  readonly digests: Readonly<Record<string, string>>;
}

function readyFix(
  { title, edits }: Fix,
  { files, uriOf }: DiagnosticContext,
  lines: (file: string) => LineMap,
): ReadyFix {
  const byUri: Record<string, TextEdit[]> = {};
  const digests: Record<string, string> = {};
  for (const { origin, newText } of edits) {
    const uri = uriOf(origin.file);
    (byUri[uri] ??= []).push({ range: toRange(lines(origin.file), origin.span), newText });
    digests[uri] ??= digestOf(files.get(origin.file) ?? '');
  }
  return { title, edits: byUri, digests };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

export interface FixContext {
  /** The text of a document as it is now; undefined where there is none. */
  readonly textNow: (uri: string) => string | undefined;
  readonly toWorkspaceEdit: ToWorkspaceEdit;
}

/**
 * The fixes that come with diagnostics, as quick fixes; one that stands alone is preferred. A fix of a text that has
 * changed since is none: its places are others now. A list of kinds without any asks for all, as no list does.
 */
export function codeActions(
  { diagnostics, only }: Pick<CodeActionContext, 'diagnostics' | 'only'>,
  { textNow, toWorkspaceEdit }: FixContext,
): CodeAction[] {
  const wanted: readonly string[] = [CodeActionKind.Empty, CodeActionKind.QuickFix];
  if (only !== undefined && only.length > 0 && !only.some((kind) => wanted.includes(kind))) return [];
  const isCurrent = ({ digests }: ReadyFix): boolean =>
    Object.entries(digests).every(([uri, digest]) => {
      const text = textNow(uri);
      return text !== undefined && digestOf(text) === digest;
    });
  return diagnostics.flatMap((diagnostic) => {
    const { fixes = [] } = (diagnostic.data ?? {}) as { readonly fixes?: readonly ReadyFix[] };
    return fixes.filter(isCurrent).map(({ title, edits }) => ({
      title,
      kind: CodeActionKind.QuickFix,
      diagnostics: [diagnostic],
      isPreferred: fixes.length === 1,
      edit: toWorkspaceEdit(edits),
    }));
  });
}
