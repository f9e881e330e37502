/** Diagnostics of the compiler as the protocol has them, and the code actions of their fixes. */
import {
  CodeActionKind,
  DiagnosticSeverity,
  type CodeAction,
  type Diagnostic as LspDiagnostic,
  type TextEdit,
} from 'vscode-languageserver/node.js';
import type { Diagnostic, Fix } from '../../compiler/diagnostics/diagnostic.js';
import { lineMap, type LineMap } from '../../grammar/line-map.js';
import { toRange } from './text.js';

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
      data: { slug, fixes: fixes.map((fix) => editsOf(fix, lines, context.uriOf)) },
    };
    byFile.set(file, [...(byFile.get(file) ?? []), shown]);
  }
  return byFile;
}

interface ReadyFix {
  readonly title: string;
  readonly changes: Readonly<Record<string, TextEdit[]>>;
}

function editsOf(
  { title, edits }: Fix,
  lines: (file: string) => LineMap,
  uriOf: (path: string) => string,
): ReadyFix {
  const changes: Record<string, TextEdit[]> = {};
  for (const { origin, newText } of edits) {
    const uri = uriOf(origin.file);
    changes[uri] = [...(changes[uri] ?? []), { range: toRange(lines(origin.file), origin.span), newText }];
  }
  return { title, changes };
}

/** The fixes that come with diagnostics, as quick fixes; one that stands alone is preferred. */
export function codeActions(diagnostics: readonly LspDiagnostic[]): CodeAction[] {
  return diagnostics.flatMap((diagnostic) => {
    const { fixes = [] } = (diagnostic.data ?? {}) as { readonly fixes?: readonly ReadyFix[] };
    return fixes.map(({ title, changes }) => ({
      title,
      kind: CodeActionKind.QuickFix,
      diagnostics: [diagnostic],
      isPreferred: fixes.length === 1,
      edit: { changes: { ...changes } },
    }));
  });
}
