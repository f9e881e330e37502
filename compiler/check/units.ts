/**
 * Units of the plan language: what each word measures and how it scales to the base unit (bytes, seconds, bytes/s,
 * FLOP/s, tokens, requests, fractions of one). Arithmetic stays inside agreeing dimensions; the few products that
 * mean something (a rate times a time) are in one table.
 */
export type Dimension =
  'number' | 'bytes' | 'seconds' | 'bytes/s' | 'flop/s' | 'tokens' | 'requests' | 'fraction';

export interface Unit {
  readonly dimension: Dimension;
  readonly factor: number;
}

const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const FLOPS: Readonly<Record<string, number>> = { GFLOPS: 1e9, TFLOPS: 1e12, PFLOPS: 1e15 };

/** Every unit that may follow a number. */
export const UNITS: ReadonlyMap<string, Unit> = new Map<string, Unit>([
  ...Object.entries(BYTES).map(([name, factor]): [string, Unit] => [name, { dimension: 'bytes', factor }]),
  ...Object.entries(BYTES).map(([name, factor]): [string, Unit] => [
    `${name}/s`,
    { dimension: 'bytes/s', factor },
  ]),
  ...Object.entries(FLOPS).map(([name, factor]): [string, Unit] => [name, { dimension: 'flop/s', factor }]),
  ['s', { dimension: 'seconds', factor: 1 }],
  ['ms', { dimension: 'seconds', factor: 1e-3 }],
  ['us', { dimension: 'seconds', factor: 1e-6 }],
  ['ns', { dimension: 'seconds', factor: 1e-9 }],
  ['token', { dimension: 'tokens', factor: 1 }],
  ['tokens', { dimension: 'tokens', factor: 1 }],
  ['request', { dimension: 'requests', factor: 1 }],
  ['requests', { dimension: 'requests', factor: 1 }],
  ['%', { dimension: 'fraction', factor: 0.01 }],
]);

/** Units that an author will have meant where none is written, the most likely first. */
export const USUAL_UNITS: Readonly<Record<Dimension, readonly string[]>> = {
  number: [],
  bytes: ['GB', 'GiB', 'MiB'],
  seconds: ['us', 'ms', 's'],
  'bytes/s': ['GB/s', 'GiB/s'],
  'flop/s': ['TFLOPS', 'GFLOPS'],
  tokens: ['tokens'],
  requests: ['requests'],
  fraction: ['%'],
};

/** How a message speaks of a dimension, with a unit to write. */
export const DIMENSION_WORDS: Readonly<Record<Dimension, string>> = {
  number: 'plain numbers',
  bytes: 'bytes (such as `24 GiB`)',
  seconds: 'time (such as `15 us`)',
  'bytes/s': 'bytes per second (such as `300 GB/s`)',
  'flop/s': 'floating-point operations per second (such as `121 TFLOPS`)',
  tokens: 'tokens (such as `16 tokens`)',
  requests: 'requests (such as `256 requests`)',
  fraction: 'parts of a whole (such as `20%`)',
};

type Operator = '+' | '-' | '*' | '/';

/** Products and quotients of two different dimensions that have a meaning. */
const MIXED: Readonly<Record<string, Dimension>> = {
  'bytes / seconds': 'bytes/s',
  'bytes / bytes/s': 'seconds',
  'bytes/s * seconds': 'bytes',
  'seconds * bytes/s': 'bytes',
};

const SCALES: ReadonlySet<Dimension> = new Set<Dimension>(['number', 'fraction']);

/** Dimension of `left op right`, or undefined when it has none. */
export function combine(op: Operator, left: Dimension, right: Dimension): Dimension | undefined {
  if (op === '+' || op === '-') return left === right ? left : undefined;
  const mixed = MIXED[`${left} ${op} ${right}`];
  if (mixed) return mixed;
  if (op === '/' && left === right) return 'number';
  if (SCALES.has(right)) return left === 'number' && right === 'fraction' && op === '*' ? 'number' : left;
  if (op === '*' && SCALES.has(left)) return right;
  return undefined;
}

/**
 * A value in the largest of the units that rise by `step` of which it is at least one, or is one once it is rounded.
 *
 * @param full what is written as `step` of a unit
 */
function inLargest(
  value: number,
  step: number,
  names: readonly string[],
  full = step,
): readonly [number, string] {
  let rest = value;
  let at = 0;
  while (Math.abs(rest) >= full && at < names.length - 1) {
    rest /= step;
    at += 1;
  }
  return [rest, names[at]!];
}

const scaled = (value: number, step: number, names: readonly string[]): string => {
  const [rest, name] = inLargest(value, step, names, step - 0.5);
  const digits = rest >= 100 ? 0 : rest >= 10 ? 1 : 2;
  return `${Number(rest.toFixed(digits))} ${name}`;
};

const DECIMAL_UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes in a unit that they are a number of three digits at most of; undefined where they are none. */
function shortIn(bytes: number, step: number, names: readonly string[]): string | undefined {
  const [rest, name] = inLargest(bytes, step, names);
  const short = Number(rest.toPrecision(3));
  return Math.abs(rest - short) <= 1e-12 * Math.abs(rest) ? `${short} ${name}` : undefined;
}

/** Bytes as the tables of the program show them: `1.50 MiB`; whole bytes below a KiB. */
export function formatBinaryBytes(bytes: number): string {
  const [rest, name] = inLargest(bytes, 1024, BINARY_UNITS, 1023.95);
  return name === 'B' ? `${rest} B` : `${rest.toFixed(rest < 10 ? 2 : 1)} ${name}`;
}

/**
 * Bytes for people: as somebody would write them where a short number is all of it (`24 GB`, `10.5 GiB`), else as in tables
 * (`17.34 GiB`), so that a declared size reads as it was declared and a computed one as it does elsewhere.
 */
export function formatBytes(bytes: number): string {
  return (
    shortIn(bytes, 1000, DECIMAL_UNITS) ?? shortIn(bytes, 1024, BINARY_UNITS) ?? formatBinaryBytes(bytes)
  );
}

/** Bytes without rounding, to be read again: `640 GiB`, `24 GB`. */
export function formatExactBytes(bytes: number): string {
  const short = formatBytes(bytes);
  const [figure, unit] = short.split(' ');
  if (Number(figure) * (BYTES[unit!] ?? NaN) === bytes) return short;
  const names = ['TiB', 'GiB', 'MiB', 'KiB'];
  const name = names.find((each) => bytes > 0 && bytes % BYTES[each]! === 0);
  return name === undefined ? `${bytes} B` : `${bytes / BYTES[name]!} ${name}`;
}

/** Bytes in a given unit, without a rest that is zero: `128 KiB`, `11.3 GiB`. */
export function formatBytesIn(bytes: number, unit: string): string {
  const figure = bytes / (BYTES[unit] ?? 1);
  const short = Number(figure.toPrecision(12));
  const isWhole = Number.isInteger(short) || Number(figure.toPrecision(3)) === short;
  return `${isWhole ? short : figure.toFixed(figure < 10 ? 2 : 1)} ${unit}`;
}

/** A value of a dimension for people: `300 GB/s`, `20 us`, `20%`. */
export function formatQuantity(value: number, dimension: Dimension): string {
  switch (dimension) {
    case 'bytes':
      return formatBytes(value);
    case 'bytes/s':
      return `${scaled(value, 1000, DECIMAL_UNITS)}/s`;
    case 'flop/s':
      return scaled(value / 1e9, 1000, ['GFLOPS', 'TFLOPS', 'PFLOPS']);
    case 'seconds':
      return value !== 0 && Math.abs(value) < 1
        ? scaled(value * 1e9, 1000, ['ns', 'us', 'ms'])
        : `${Number(value.toPrecision(6))} s`;
    case 'fraction':
      return `${Number((value * 100).toPrecision(6))}%`;
    case 'tokens':
    case 'requests':
      return value === 1 ? `1 ${dimension.slice(0, -1)}` : `${value} ${dimension}`;
    case 'number':
      return String(value);
  }
}
