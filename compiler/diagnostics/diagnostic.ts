import type { Span } from '../../grammar/syntax.js';

export type Severity = 'error' | 'warning' | 'note';

/** A place in a named source text; the provenance of everything the compiler derives. */
export interface Origin {
  readonly file: string;
  readonly span: Span;
}

/** A machine-applicable edit that would resolve a diagnostic. */
export interface Fix {
  readonly title: string;
  readonly edits: readonly { readonly origin: Origin; readonly newText: string }[];
}

/** What is wrong, where, and what would fix it. `code` and `slug` come from the catalogue and never change meaning. */
export interface Diagnostic {
  readonly code: `FC${string}`;
  readonly slug: string;
  readonly severity: Severity;
  readonly message: string;
  /** The smallest token that must change. Absent only for problems outside any source text. */
  readonly primary?: Origin & { readonly label?: string };
  readonly related: readonly (Origin & { readonly label: string })[];
  /** Facts in play, one line each (`kv_heads = 8, from config.json`). */
  readonly notes: readonly string[];
  readonly helps: readonly string[];
  readonly fixes: readonly Fix[];
  /** The parameters the message was made of, for `--json` and quick fixes. */
  readonly data: Readonly<Record<string, unknown>>;
}
