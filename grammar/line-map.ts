/**
 * Offsets to lines and columns of one text. Lines and columns count from 1, columns in UTF-16 units. A byte order mark is
 * before the first column: editors do not count it.
 */

export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface LineMap {
  readonly lineCount: number;
  /** Position of an offset; offsets outside the text are moved to its nearest end. */
  position(offset: number): Position;
  /** Offset of a position; columns past the end of a line are moved to it. */
  offset(position: Position): number;
  /** Text of a line without its line end; empty for lines that do not exist. */
  lineText(line: number): string;
}

/** Line table of a text; `\n`, `\r\n` and a lone `\r` end a line, as in the lexer. */
export function lineMap(text: string): LineMap {
  const starts = [text.startsWith('\uFEFF') ? 1 : 0];
  for (let at = 0; at < text.length; at++) {
    const unit = text[at];
    if (unit === '\n' || (unit === '\r' && text[at + 1] !== '\n')) starts.push(at + 1);
  }
  const lineEnd = (line: number): number => {
    let end = starts[line] ?? text.length;
    const start = starts[line - 1]!;
    while (end > start && (text[end - 1] === '\n' || text[end - 1] === '\r')) end--;
    return end;
  };
  return {
    lineCount: starts.length,
    position(offset) {
      const at = Math.min(Math.max(offset, 0), text.length);
      let low = 0;
      let high = starts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (starts[middle]! <= at) low = middle;
        else high = middle - 1;
      }
      return { line: low + 1, column: Math.max(0, at - starts[low]!) + 1 };
    },
    offset({ line, column }) {
      if (line < 1) return 0;
      if (line > starts.length) return text.length;
      return Math.min(starts[line - 1]! + Math.max(column, 1) - 1, lineEnd(line));
    },
    lineText(line) {
      if (line < 1 || line > starts.length) return '';
      return text.slice(starts[line - 1]!, lineEnd(line));
    },
  };
}
