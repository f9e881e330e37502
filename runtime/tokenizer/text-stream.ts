/**
 * Incremental decoding: ids go in one at a time, text comes out as soon as it is final. The pieces joined equal the
 * decoding of all ids at once, and no piece ends inside a character whose bytes are spread over several tokens.
 *
 * State: a window of the latest ids, starting at a character boundary, and how much of its text is out. Invariant:
 * text before a trailing run of U+FFFD can no longer change (later bytes can only complete the last character), so
 * it is given out at once; when the window ends in a whole character, the ids before the last push are dropped. One
 * push of context stays, since some decoders treat the first token of a text differently.
 */
export interface TextStream {
  /** Text that became final with this id; often empty inside a character. */
  readonly push: (id: number) => string;
  /** The rest: an unfinished character as U+FFFD. */
  readonly flush: () => string;
}

/** A stream over a decoder of whole id lists. `isText` tells ids that contribute text from special ones. */
export function textStream(
  decode: (ids: readonly number[]) => string,
  isText: (id: number) => boolean,
): TextStream {
  let window: number[] = [];
  /** Ids of the window that were there at the last character boundary. */
  let context = 0;
  let given = 0;
  const giveUpTo = (text: string, end: number): string => {
    const piece = text.slice(given, end);
    given = Math.max(given, end);
    return piece;
  };
  return {
    push: (id) => {
      if (!isText(id)) return '';
      window.push(id);
      const text = decode(window);
      const stable = stableLength(text);
      const piece = giveUpTo(text, stable);
      if (stable === text.length) {
        window = window.slice(context);
        context = window.length;
        given = decode(window).length;
      }
      return piece;
    },
    flush: () => {
      if (window.length === 0) return '';
      const text = decode(window);
      return giveUpTo(text, text.length);
    },
  };
}

function stableLength(text: string): number {
  let end = text.length;
  while (end > 0 && text[end - 1] === '\ufffd') end--;
  return end;
}
