/** What the buffer of a weight has in it. */
import { sameInterval, sameRectangle } from './rectangles.js';
import type { RuntimeWeight } from './runtime-graph.js';

/** Whether the buffers of two weights have the same bytes. */
export function sameContent(a: RuntimeWeight, b: RuntimeWeight): boolean {
  return (
    a.dtype === b.dtype &&
    a.rows === b.rows &&
    a.cols === b.cols &&
    a.pieces.length === b.pieces.length &&
    a.pieces.every((piece, index) => {
      const { tensor, rows, cols, at } = b.pieces[index]!;
      return piece.tensor === tensor && sameRectangle(piece, { rows, cols }) && sameInterval(piece.at, at);
    })
  );
}
