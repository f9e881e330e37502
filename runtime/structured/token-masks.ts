/**
 * Which tokens may come next in a text: those whose bytes all may.
 *
 * The tokens lie in the order of their bytes, so that those with a common beginning are neighbours. One pass over them
 * keeps the states behind the bytes of the current token; the next takes up where the two part, and where a beginning
 * leads nowhere all tokens that have it are passed over. The pass costs what the tokens that may come have of bytes, and
 * its result is kept with the state.
 */
import { tokenBytes, type ByteVocabulary } from '../tokenizer/byte-vocabulary.js';
import type { TextState } from './text-states.js';

export interface SortedTokens {
  /** Tokens of whole characters that JSON does not escape: within a string their number of characters decides. */
  readonly plain: TokenList;
  readonly others: TokenList;
  /** Masks of the plain tokens by their characters, index `n` for those of up to `n`. */
  readonly upTo: readonly Uint32Array[];
}

/** Tokens in the order of their bytes. */
interface TokenList {
  readonly ids: Int32Array;
  /** Bytes of all tokens one after the other; those of token `i` begin at `starts[i]`. */
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
  /** Bytes that a token has in common with the one before. */
  readonly common: Int32Array;
}

interface Token {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** Sorts a vocabulary; tokens without text are left out. */
export function sortTokens(vocabulary: ByteVocabulary): SortedTokens {
  const plain: Token[] = [];
  const others: Token[] = [];
  const upTo = [new Uint32Array(Math.ceil(vocabulary.tokens.length / 32))];
  for (let id = 0; id < vocabulary.tokens.length; id++) {
    const bytes = tokenBytes(vocabulary, id);
    if (bytes.length === 0) continue;
    const characters = plainCharacters(bytes);
    (characters === undefined ? others : plain).push({ id, bytes });
    if (characters === undefined) continue;
    while (upTo.length <= characters) upTo.push(upTo.at(-1)!.slice());
    for (const mask of upTo.slice(characters)) mask[id >>> 5]! |= 1 << (id & 31);
  }
  return { plain: listOf(plain), others: listOf(others), upTo };
}

/** Characters of bytes that are nothing but whole characters which JSON does not escape. */
function plainCharacters(bytes: Uint8Array): number | undefined {
  const text = Buffer.from(bytes).toString();
  // U+FFFD stands for what is no character.
  return /["\\\ufffd]|[^\P{Cc}\x7f-\x9f]/u.test(text) ? undefined : Array.from(text).length;
}

function listOf(tokens: Token[]): TokenList {
  tokens.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const starts = new Int32Array(tokens.length + 1);
  tokens.forEach(({ bytes }, i) => (starts[i + 1] = starts[i]! + bytes.length));
  return {
    ids: Int32Array.from(tokens, ({ id }) => id),
    bytes: Buffer.concat(tokens.map(({ bytes }) => bytes)),
    starts,
    common: Int32Array.from(tokens, ({ bytes }, i) =>
      i === 0 ? 0 : commonLength(tokens[i - 1]!.bytes, bytes),
    ),
  };
}

function commonLength(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

/** Bit `id % 32` of word `id / 32` is set for the tokens that may come in a state. */
export function tokenMask(state: TextState, { plain, others, upTo }: SortedTokens): Uint32Array {
  const mask = upTo[Math.min(state.room, upTo.length - 1)]!.slice();
  addTokens(mask, state, others);
  if (!state.isRoomAll) addTokens(mask, state, plain);
  return mask;
}

/** Sets the bits of those tokens of a list that may come. */
function addTokens(mask: Uint32Array, state: TextState, { ids, bytes, starts, common }: TokenList): void {
  /** States behind the first bytes of the latest token that was looked at. */
  const path: TextState[] = [state];
  /** Bytes after which that token leads nowhere; Infinity where it may come. */
  let deadAt = Infinity;
  for (let i = 0; i < ids.length; i++) {
    if (common[i]! >= deadAt) continue;
    const [start, end] = [starts[i]!, starts[i + 1]!];
    let depth = common[i]!;
    deadAt = Infinity;
    for (; start + depth < end; depth++) {
      const next = path[depth]!.next(bytes[start + depth]!);
      if (next === undefined) {
        deadAt = depth + 1;
        break;
      }
      path[depth + 1] = next;
    }
    if (deadAt === Infinity) mask[ids[i]! >>> 5]! |= 1 << (ids[i]! & 31);
  }
}

/** The state behind a token's bytes; undefined where one of them may not come. */
export function stateAfter(state: TextState, vocabulary: ByteVocabulary, id: number): TextState | undefined {
  let reached: TextState | undefined = state;
  for (const byte of tokenBytes(vocabulary, id)) reached = reached?.next(byte);
  return reached;
}
