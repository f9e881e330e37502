/** Fixes as an editor applies them. */
import type { Fix } from '../../../compiler/diagnostics/diagnostic.js';

/** The text with the edits of one fix. */
export function mended(text: string, { edits }: Fix): string {
  const sorted = [...edits].sort((a, b) => b.origin.span.start - a.origin.span.start);
  return sorted.reduce(
    (before, { origin: { span }, newText }) => before.slice(0, span.start) + newText + before.slice(span.end),
    text,
  );
}
