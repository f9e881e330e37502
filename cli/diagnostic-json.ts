/** Diagnostics for machines: offsets become lines and columns (from 1), file names those of the messages. */
import { lineMap } from '../grammar/line-map.js';
import type { Diagnostic, Origin } from '../compiler/diagnostics/diagnostic.js';
import type { RenderOptions } from './render-diagnostics.js';

interface Place {
  readonly file: string;
  readonly start: { readonly line: number; readonly column: number; readonly offset: number };
  readonly end: { readonly line: number; readonly column: number; readonly offset: number };
}

function placeOf(origin: Origin, options: RenderOptions): Place {
  const map = lineMap(options.textOf(origin.file) ?? '');
  const { start, end } = origin.span;
  return {
    file: options.nameOf(origin.file),
    start: { ...map.position(start), offset: start },
    end: { ...map.position(end), offset: end },
  };
}

/** The `--json` form of a diagnostic. */
export function diagnosticJson(
  diagnostic: Diagnostic,
  options: RenderOptions,
): Readonly<Record<string, unknown>> {
  const { primary, related, fixes, ...rest } = diagnostic;
  return {
    ...rest,
    primary: primary && { ...placeOf(primary, options), label: primary.label },
    related: related.map((origin) => ({ ...placeOf(origin, options), label: origin.label })),
    fixes: fixes.map((fix) => ({
      title: fix.title,
      edits: fix.edits.map((edit) => ({ ...placeOf(edit.origin, options), newText: edit.newText })),
    })),
  };
}
