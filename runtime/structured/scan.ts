/** Texts of JSON values without parts, byte by byte. */

/** A position in a text. */
export interface Scan {
  /** Tells it apart from the other positions of its kind of text. */
  readonly key: string;
  /** The position behind one more byte; undefined where the byte may not come. */
  readonly next: (byte: number) => Scan | undefined;
  /** The text may end here: which of several it is, 0 where there is one kind. */
  readonly ends?: number;
  /** So many characters may follow whatever they are, if JSON does not escape them; absent, none. */
  readonly room?: number;
}

const codeOf = (character: string): number => character.charCodeAt(0);
const [QUOTE, BACKSLASH, MINUS, ZERO, NINE] = [
  codeOf('"'),
  codeOf('\\'),
  codeOf('-'),
  codeOf('0'),
  codeOf('9'),
];

interface Branch {
  readonly id: number;
  readonly branches: Map<number, Branch>;
  ends?: number;
}

/** One of several texts; it ends as the first that it equals. */
export function scanTexts(texts: readonly string[]): Scan {
  let branches = 0;
  const root: Branch = { id: branches++, branches: new Map() };
  texts.forEach((text, index) => {
    let at = root;
    for (const byte of Buffer.from(text)) {
      const next = at.branches.get(byte) ?? { id: branches++, branches: new Map<number, Branch>() };
      at.branches.set(byte, next);
      at = next;
    }
    at.ends ??= index;
  });
  return scanBranch(root);
}

function scanBranch({ id, branches, ends }: Branch): Scan {
  return {
    key: String(id),
    next: (byte) => {
      const branch = branches.get(byte);
      return branch && scanBranch(branch);
    },
    ...(ends === undefined ? {} : { ends }),
  };
}

/** The text has ended, and nothing may follow. */
const DONE: Scan = { key: 'done', next: () => undefined, ends: 0 };

/**
 * A whole number from `least` to `most`, both safe integers, without `-0`. A digit may come while the numbers that begin
 * with what is there, of any length, still meet the range.
 */
export function scanInteger(least: number, most: number): Scan {
  const [low, high] = [BigInt(least), BigInt(most)];
  const positive = [low > 1n ? low : 1n, high] as const;
  const negative = [high < -1n ? -high : 1n, -low] as const;
  return {
    key: 'start',
    next: (byte) => {
      if (byte === ZERO) return low <= 0n && high >= 0n ? DONE : undefined;
      if (byte !== MINUS) return scanDigits('', 0n, positive)?.next(byte);
      return negative[0] <= negative[1] ? scanDigits('-', 0n, negative) : undefined;
    },
  };
}

function scanDigits(sign: string, value: bigint, range: readonly [bigint, bigint]): Scan {
  const [low, high] = range;
  return {
    key: `${sign}${value}`,
    next: (byte) => {
      if (!isDigit(byte) || (byte === ZERO && value === 0n)) return undefined;
      const longer = value * 10n + BigInt(byte - ZERO);
      for (let from = longer, size = 1n; from <= high; from *= 10n, size *= 10n) {
        if (from + size > low) return scanDigits(sign, longer, range);
      }
      return undefined;
    },
    ...(value >= low && value <= high ? { ends: 0 } : {}),
  };
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** Most digits before and behind the point; with those of the exponent, every number is one of an f64. */
const NUMBER_DIGITS = 15;
const EXPONENT_DIGITS = 2;

/** By part of a number: which part a byte leads to. Parts in capitals may end. */
const NUMBER_PARTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  start: { '-': 'minus', 0: 'ZERO', digit: 'WHOLE' },
  minus: { 0: 'ZERO', digit: 'WHOLE' },
  ZERO: { '.': 'point', e: 'e', E: 'e' },
  WHOLE: { digit: 'WHOLE', 0: 'WHOLE', '.': 'point', e: 'e', E: 'e' },
  point: { digit: 'FRACTION', 0: 'FRACTION' },
  FRACTION: { digit: 'FRACTION', 0: 'FRACTION', e: 'e', E: 'e' },
  e: { '+': 'sign', '-': 'sign', digit: 'EXPONENT', 0: 'EXPONENT' },
  sign: { digit: 'EXPONENT', 0: 'EXPONENT' },
  EXPONENT: { digit: 'EXPONENT', 0: 'EXPONENT' },
};

/** A number as JSON has it, of so many digits at most. */
export function scanNumber(part = 'start', digits = 0): Scan {
  return {
    key: `${part}${digits}`,
    next: (byte) => {
      const text = String.fromCharCode(byte);
      const reached = NUMBER_PARTS[part]![isDigit(byte) && text !== '0' ? 'digit' : text];
      const count = reached === part ? digits + 1 : 1;
      const most = reached === 'EXPONENT' ? EXPONENT_DIGITS : NUMBER_DIGITS;
      return reached === undefined || count > most ? undefined : scanNumber(reached, count);
    },
    ...(part === part.toUpperCase() ? { ends: 0 } : {}),
  };
}

/**
 * By what the bytes of a character so far ask of the next: ranges of bytes and the state after them, 0 between characters.
 * It is the Unicode standard's table of well-formed UTF-8 (3-7), so that what was counted are the characters that a reader
 * counts; less the control characters, which JSON has only escaped.
 */
const CHARACTERS: readonly (readonly (readonly [from: number, to: number, next: number])[])[] = [
  [
    [0x20, 0x7f, 0],
    [0xc2, 0xdf, 1],
    [0xe0, 0xe0, 4],
    [0xe1, 0xec, 2],
    [0xed, 0xed, 5],
    [0xee, 0xef, 2],
    [0xf0, 0xf0, 6],
    [0xf1, 0xf3, 3],
    [0xf4, 0xf4, 7],
  ],
  // One, two and three more bytes of any value.
  [[0x80, 0xbf, 0]],
  [[0x80, 0xbf, 1]],
  [[0x80, 0xbf, 2]],
  // After E0, ED, F0 and F4.
  [[0xa0, 0xbf, 1]],
  [[0x80, 0x9f, 1]],
  [[0x90, 0xbf, 2]],
  [[0x80, 0x8f, 2]],
];

/** A string of so many characters; an escape is one, surrogates are not escaped. */
export function scanString(least: number, most = Infinity): Scan {
  // Where nothing limits the length, only whether it is enough matters.
  const clamp = (count: number): number => (most === Infinity ? Math.min(count, least) : count);
  const within = (count: number, state: number): Scan => ({
    key: `${count}.${state}`,
    ...(state === 0 ? { room: most - count } : {}),
    next: (byte) => {
      if (state === 0 && byte === QUOTE) return count >= least ? DONE : undefined;
      if (state === 0 && count >= most) return undefined;
      if (state === 0 && byte === BACKSLASH) return escaped(clamp(count + 1));
      const reached = CHARACTERS[state]!.find(([from, to]) => byte >= from && byte <= to)?.[2];
      if (reached === undefined) return undefined;
      // A character counts from its first byte on.
      return within(state === 0 ? clamp(count + 1) : count, reached);
    },
  });
  const escaped = (count: number): Scan => ({
    key: `${count}.escape`,
    next: (byte) => {
      const text = String.fromCharCode(byte);
      if (text === 'u') return hexadecimal(count, '');
      return '"\\/bfnrt'.includes(text) ? within(count, 0) : undefined;
    },
  });
  const hexadecimal = (count: number, digits: string): Scan => ({
    // Of the digits before, only a D at the front restricts what may come.
    key: `${count}.u${digits.length}${digits === 'd' ? digits : ''}`,
    next: (byte) => {
      const all = digits + String.fromCharCode(byte).toLowerCase();
      if (!/^(?!d[89a-f])[0-9a-f]+$/.test(all)) return undefined;
      return all.length === 4 ? within(count, 0) : hexadecimal(count, all);
    },
  });
  return { key: 'start', next: (byte) => (byte === QUOTE ? within(0, 0) : undefined) };
}
