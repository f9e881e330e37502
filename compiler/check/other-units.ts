/**
 * Words for units that are used elsewhere and are none here: other spellings (`usec`, `GBps`), bits, and scales that
 * this language has no word for (`min`). What is offered for one is the same amount in a unit of the language.
 */
import { UNITS, type Dimension, type Unit } from './units.js';

/** Words for times in seconds; case does not matter. */
const TIMES: readonly (readonly [factor: number, words: string])[] = [
  [1e-9, 'ns nsec nsecs nanosecond nanoseconds'],
  // The sign for micro and the Greek letter look alike.
  [1e-6, 'us usec usecs \u00b5s \u00b5sec \u03bcs \u03bcsec microsecond microseconds'],
  [1e-3, 'ms msec msecs millisecond milliseconds'],
  [1, 's sec secs second seconds'],
  [60, 'm min mins minute minutes'],
  [3600, 'h hr hrs hour hours'],
  [86_400, 'd day days'],
];

const OTHERS: readonly (readonly [dimension: Dimension, factor: number, words: string])[] = [
  ...TIMES.map(([factor, words]) => ['seconds', factor, words] as const),
  ['tokens', 1, 'tok toks token tokens'],
  ['requests', 1, 'req reqs request requests'],
  ['fraction', 0.01, 'percent pct'],
];

const WORDS: ReadonlyMap<string, Unit> = new Map(
  OTHERS.flatMap(([dimension, factor, words]) =>
    words.split(' ').map((word): [string, Unit] => [word, { dimension, factor }]),
  ),
);

const PREFIXES = 'kmgtpe';

/** What a prefix multiplies by: `k`, `Ki`; none is one. */
function scaleOf(prefix: string): number {
  const power = prefix === '' ? 0 : PREFIXES.indexOf(prefix[0]!.toLowerCase()) + 1;
  return (prefix.length === 2 ? 1024 : 1000) ** power;
}

/** Bytes that a word may stand for, likelier ones first where it is a rate: `Gb` are bits, or meant to be bytes. */
function bytesOf(word: string): readonly number[] {
  const match = new RegExp(`^([${PREFIXES}]i?)?(b|bits?|bytes?)?$`, 'i').exec(word);
  const [, prefix = '', tail = ''] = match ?? [];
  if (match === null || word === '') return [];
  const scale = scaleOf(prefix);
  if (tail === '') return prefix.length === 2 ? [scale] : [scale, scaleOf(`${prefix}i`)];
  if (tail === 'b') return [scale / 8, scale];
  return [/bit/i.test(tail) ? scale / 8 : scale];
}

/** Bytes per second that a word may stand for: `Gbit/s`, `GB/ms`, `Mbps`. */
function ratesOf(word: string): readonly number[] {
  const [, amount = '', per = ''] = /^(.+)\/(.+)$/.exec(word) ?? /^(.*b.*)p(s)$/i.exec(word) ?? [];
  const time = WORDS.get(per.toLowerCase());
  return time?.dimension === 'seconds' ? bytesOf(amount).map((bytes) => bytes / time.factor) : [];
}

function operationsOf(word: string): readonly number[] {
  const match = new RegExp(`^([${PREFIXES}])?(?:fl)?ops?(?:/s|/sec|ps)?$`, 'i').exec(word);
  return match === null ? [] : [scaleOf(match[1] ?? '')];
}

/** What a word that is no unit may measure, the likeliest first; nothing where it is known from nowhere. */
function meaningsOf(word: string): readonly Unit[] {
  const known = WORDS.get(word.toLowerCase());
  const as = (dimension: Dimension) => (factor: number) => ({ dimension, factor });
  return [
    ...(known === undefined ? [] : [known]),
    // Sizes of memory are hardly ever in bits.
    ...bytesOf(word).toReversed().map(as('bytes')),
    ...ratesOf(word).map(as('bytes/s')),
    ...operationsOf(word).map(as('flop/s')),
  ];
}

/** An amount in a unit of the language, in place of one in another. */
export interface SameAmount {
  /** Of a unit that there is a word for here, whatever the number: `us` for `usec`. */
  readonly unit?: string;
  /** Number and unit: `50 GB/s` for `400 Gbit/s`. */
  readonly text: string;
}

const isAlike = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-12 * Math.abs(b);

/** What `value` of a word that is no unit may be, where a `wanted` dimension is needed or any. */
export function sameAmounts(
  value: number,
  word: string,
  wanted: Dimension | undefined,
): readonly SameAmount[] {
  const measured = [word, `${word}/s`, word.replace(/\/s$/, '')].map((each) =>
    meaningsOf(each).filter(({ dimension }) => wanted === undefined || dimension === wanted),
  );
  return (measured.find((each) => each.length > 0) ?? []).flatMap(({ dimension, factor }) => {
    if (!Number.isFinite(value * factor)) return [];
    const own = [...UNITS].findLast(
      ([, unit]) => unit.dimension === dimension && isAlike(unit.factor, factor),
    );
    return own === undefined
      ? { text: exactly(value * factor, dimension) }
      : { unit: own[0], text: `${value} ${own[0]}` };
  });
}

/** A value of a dimension that has units, in base units, as somebody would write it: in the unit of the shortest number. */
export function exactly(value: number, dimension: Dimension): string {
  const each = [...UNITS]
    .filter(([, unit]) => unit.dimension === dimension)
    .toSorted(([, a], [, b]) => a.factor - b.factor)
    .map(([name, { factor }]) => ({ name, factor, figure: Number((value / factor).toPrecision(12)) }));
  const [best] = each
    .filter(
      ({ figure, factor }) => figure >= 1 && Math.abs(figure * factor - value) <= 4 * Number.EPSILON * value,
    )
    .toSorted((a, b) => String(a.figure).length - String(b.figure).length);
  // The smallest unit has the value as it is.
  return best === undefined ? `${value / each[0]!.factor} ${each[0]!.name}` : `${best.figure} ${best.name}`;
}
