/** Inlay hints: what the compiler derived, at the end of the line that caused it. */
import { type InlayHint, type Range } from 'vscode-languageserver/node.js';
import type { PlanDocument } from './document.js';
import type { PlanNote } from './plan-notes.js';

/** Hints of the lines in a range, those of one line joined. */
export function hintsOf({ lines }: PlanDocument, notes: readonly PlanNote[], range: Range): InlayHint[] {
  const byLine = new Map<number, PlanNote[]>();
  for (const note of notes) {
    const line = lines.position(note.at.span.end).line - 1;
    if (line < range.start.line || line > range.end.line) continue;
    byLine.set(line, [...(byLine.get(line) ?? []), note]);
  }
  return [...byLine].map(([line, each]) => ({
    position: { line, character: lines.lineText(line + 1).length },
    label: each.map(({ text }) => text).join('; '),
    paddingLeft: true,
    tooltip: { kind: 'markdown' as const, value: each.map(({ detail }) => detail).join('\n\n') },
  }));
}
