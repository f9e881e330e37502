/** Cuts bytes into lines as they come. Lines end as editors end them: in a line feed, a carriage return or both. */

/** Stands for a line that has more bytes than a line may have. */
export const TOO_LONG = Symbol('too long');

export type SplitLine = Buffer | typeof TOO_LONG;

export interface LineSplitter {
  /** The lines that end in these bytes, and the one that grows too long by them. */
  push(chunk: Buffer): readonly SplitLine[];
  /** What is left when no more bytes come: a line without an end, or nothing. */
  end(): readonly SplitLine[];
}

const LINE_FEED = 0x0a;
const RETURN = 0x0d;

/** @param most bytes of a line; what it has beyond is dropped, so that no line needs more memory than that */
export function createLineSplitter(most: number): LineSplitter {
  /** Pieces of the line that is not at its end. */
  let pieces: Buffer[] = [];
  let bytes = 0;
  let isDropped = false;
  /** A line feed that comes next belongs to the return that ended the last line. */
  let isAfterReturn = false;

  /** Adds to the line; true when it grows too long by it. */
  const add = (piece: Buffer): boolean => {
    if (isDropped || piece.length === 0) return false;
    bytes += piece.length;
    if (bytes <= most) {
      pieces.push(piece);
      return false;
    }
    pieces = [];
    isDropped = true;
    return true;
  };
  /** The line as it stands; nothing of it where it has been said that it is too long. */
  const take = (): readonly Buffer[] => {
    const line = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    const lines = isDropped ? [] : [line];
    pieces = [];
    bytes = 0;
    isDropped = false;
    return lines;
  };
  return {
    push(chunk) {
      if (chunk.length === 0) return [];
      const lines: SplitLine[] = [];
      let from = isAfterReturn && chunk[0] === LINE_FEED ? 1 : 0;
      let feed = next(chunk, LINE_FEED, from);
      let back = next(chunk, RETURN, from);
      for (let end = Math.min(feed, back); end < chunk.length; end = Math.min(feed, back)) {
        if (add(chunk.subarray(from, end))) lines.push(TOO_LONG);
        lines.push(...take());
        from = feed === back + 1 ? feed + 1 : end + 1;
        if (feed < from) feed = next(chunk, LINE_FEED, from);
        if (back < from) back = next(chunk, RETURN, from);
      }
      isAfterReturn = chunk[chunk.length - 1] === RETURN;
      if (add(chunk.subarray(from))) lines.push(TOO_LONG);
      return lines;
    },
    end: () => (bytes === 0 ? [] : take()),
  };
}

/** Where the byte is next; the end of the chunk where it is not. */
function next(chunk: Buffer, byte: number, from: number): number {
  const at = chunk.indexOf(byte, from);
  return at < 0 ? chunk.length : at;
}
