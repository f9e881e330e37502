/**
 * Typed access to the fields of a `config.json`. A field that is absent or null takes its default; a field of the
 * wrong type is told to `problem` and answers undefined.
 */
export interface ConfigReader {
  readonly has: (field: string) => boolean;
  /** Written at all, be it as null. */
  readonly mentions: (field: string) => boolean;
  /** A whole number of at least 1, and at most `most`. */
  readonly count: (field: string, fallback?: number, most?: number) => number | undefined;
  /** A whole number of at least 0. */
  readonly size: (field: string, fallback?: number) => number | undefined;
  /** A finite number above 0. */
  readonly positive: (field: string, fallback?: number) => number | undefined;
  readonly flag: (field: string, fallback: boolean) => boolean;
  readonly word: (field: string, fallback?: string) => string | undefined;
  readonly list: (field: string) => readonly unknown[];
  /** A nested object; undefined when absent or null. */
  readonly object: (field: string) => ConfigReader | undefined;
}

/** Reader of `json`; `prefix` stands before field names in problems (`rope_scaling.`). */
export function configReader(
  json: Readonly<Record<string, unknown>>,
  problem: (text: string) => void,
  prefix = '',
): ConfigReader {
  const value = (field: string): unknown =>
    Object.hasOwn(json, field) ? (json[field] ?? undefined) : undefined;
  const read = <T>(
    field: string,
    fallback: T | undefined,
    ok: (v: unknown) => boolean,
    must: string,
  ): T | undefined => {
    const found = value(field) ?? fallback;
    if (found === undefined) {
      problem(`\`${prefix}${field}\` is missing`);
      return undefined;
    }
    if (ok(found)) return found as T;
    problem(`\`${prefix}${field}\` is ${JSON.stringify(found)}; it must be ${must}`);
    return undefined;
  };
  const whole = (least: number, most: number) => (v: unknown) =>
    Number.isSafeInteger(v) && (v as number) >= least && (v as number) <= most;
  return {
    has: (field) => value(field) !== undefined,
    mentions: (field) => Object.hasOwn(json, field),
    count: (field, fallback, most = Infinity) => {
      const limit = most === Infinity ? '' : ` and at most ${most}`;
      return read(field, fallback, whole(1, most), `a whole number of at least 1${limit}`);
    },
    size: (field, fallback) => read(field, fallback, whole(0, Infinity), 'a whole number'),
    positive: (field, fallback) =>
      read(field, fallback, (v) => typeof v === 'number' && Number.isFinite(v) && v > 0, 'a number above 0'),
    flag: (field, fallback) =>
      read(field, fallback, (v) => typeof v === 'boolean', 'true or false') ?? fallback,
    word: (field, fallback) => read(field, fallback, (v) => typeof v === 'string', 'a string'),
    list: (field) => {
      const found = value(field);
      return Array.isArray(found) ? found : [];
    },
    object: (field) => {
      const found = value(field);
      if (found === undefined) return undefined;
      if (typeof found !== 'object' || Array.isArray(found)) {
        problem(`\`${prefix}${field}\` is ${JSON.stringify(found)}; it must be an object`);
        return undefined;
      }
      return configReader(found as Readonly<Record<string, unknown>>, problem, `${prefix}${field}.`);
    },
  };
}
