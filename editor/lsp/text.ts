/** Between the protocol's lines and characters, which count from 0, and offsets into a text. */
import type { Position, Range, TextDocumentContentChangeEvent } from 'vscode-languageserver/node.js';
import { lineMap, type LineMap } from '../../grammar/line-map.js';
import type { Span } from '../../grammar/syntax.js';

export function toPosition(lines: LineMap, offset: number): Position {
  const { line, column } = lines.position(offset);
  return { line: line - 1, character: column - 1 };
}

export function toRange(lines: LineMap, span: Span): Range {
  return { start: toPosition(lines, span.start), end: toPosition(lines, span.end) };
}

export function toOffset(lines: LineMap, { line, character }: Position): number {
  return lines.offset({ line: line + 1, column: character + 1 });
}

/** The text after edits, each of which speaks of the text that the ones before it left. */
export function applyChanges(text: string, changes: readonly TextDocumentContentChangeEvent[]): string {
  return changes.reduce((before, change) => {
    if (!('range' in change)) return change.text;
    const lines = lineMap(before);
    return (
      before.slice(0, toOffset(lines, change.range.start)) +
      change.text +
      before.slice(toOffset(lines, change.range.end))
    );
  }, text);
}
