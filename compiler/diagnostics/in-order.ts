/** The order in which diagnostics are told. */
import type { Diagnostic } from './diagnostic.js';

/** By file, the asked-for one first, and by place in it; equal findings once. */
export function inOrder(diagnostics: readonly Diagnostic[], path: string): readonly Diagnostic[] {
  const seen = new Set<string>();
  const key = (d: Diagnostic): string =>
    [d.code, d.primary?.file, d.primary?.span.start, d.primary?.span.end, d.message].join(' ');
  const unique = diagnostics.filter((d) => !seen.has(key(d)) && seen.add(key(d)));
  const file = (d: Diagnostic): string =>
    d.primary === undefined || d.primary.file === path ? '' : d.primary.file;
  return unique.sort(
    (a, b) =>
      (file(a) < file(b) ? -1 : file(a) > file(b) ? 1 : 0) ||
      (a.primary?.span.start ?? -1) - (b.primary?.span.start ?? -1),
  );
}
