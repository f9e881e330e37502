/**
 * Where a walk through a JSON text stands, of the shape that the text is to have. A place knows the value that is being
 * read and, as a chain, what follows it in the values around it, so places of a text nested however deep are values that
 * can be told apart by their keys. Texts are of one line with a space behind commas and colons, or none; free white space
 * would let a model put off the end for ever.
 *
 * Where several places go on with a byte (a choice of two objects), the text stands at all of them: see `text-states.ts`.
 */
import { scanInteger, scanNumber, scanString, scanTexts, type Scan } from './scan.js';
import type { AnswerShape, Property, Shape } from './shape.js';

export interface Place {
  /** Equal for places with equal futures. */
  readonly key: string;
  /** Places behind one more byte; none where it may not come. */
  readonly next: (byte: number) => readonly Place[];
  /** The text may end here. */
  readonly isEnd: boolean;
  /** As of a `Scan`. */
  readonly room?: number;
}

/** What follows a value: places just behind it. */
interface Rest {
  readonly key: string;
  readonly places: () => readonly Place[];
}

const codeOf = (character: string): number => character.charCodeAt(0);
const [COMMA, COLON, SPACE] = [codeOf(','), codeOf(':'), codeOf(' ')];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [
  codeOf('['),
  codeOf(']'),
  codeOf('{'),
  codeOf('}'),
];

/** Places before the first byte of a text. */
export function firstPlaces({ root, definitions }: AnswerShape): readonly Place[] {
  const numbers = new Map<Shape, number>();
  /** Shapes are told apart by number. */
  const numberOf = (shape: Shape): number => {
    const known = numbers.get(shape) ?? numbers.size;
    numbers.set(shape, known);
    return known;
  };
  const texts = new Map<Shape, Scan>();
  const textsOf = (shape: Shape & { kind: 'texts' }): Scan => {
    const known = texts.get(shape) ?? scanTexts(shape.texts);
    texts.set(shape, known);
    return known;
  };

  function value(shape: Shape, rest: Rest): readonly Place[] {
    const number = numberOf(shape);
    switch (shape.kind) {
      case 'texts':
        return [scanned(number, textsOf(shape), () => rest)];
      case 'integer':
        return [scanned(number, scanInteger(shape.least, shape.most), () => rest)];
      case 'number':
        return [scanned(number, scanNumber(), () => rest)];
      case 'string':
        return [scanned(number, scanString(shape.least, shape.most), () => rest)];
      case 'array':
        return [on(`${number}[`, rest, { [OPEN_LIST]: () => [firstItem(shape, number, rest)] })];
      case 'object':
        return [
          on(`${number}{`, rest, { [OPEN_OBJECT]: () => members(shape.properties, number, 0, true, rest) }),
        ];
      case 'map':
        return [on(`${number}{`, rest, { [OPEN_OBJECT]: () => [firstKey(shape.values, number, rest)] })];
      case 'choice':
        return distinctPlaces(shape.of.flatMap((one) => value(one, rest)));
      case 'reference':
        return referred(shape.to, rest);
    }
  }

  /** What a definition begins with; references to the same from many places cost once. */
  const begun = new Map<string, readonly Place[]>();
  function referred(name: string, rest: Rest): readonly Place[] {
    const definition = definitions.get(name)!;
    // Names may be of any characters, so that those of two references could run together with what follows them.
    const key = `${numberOf(definition)}|${rest.key}`;
    const places = begun.get(key) ?? value(definition, rest);
    begun.set(key, places);
    return places;
  }

  /** A place in a text without parts, of a name no other has; `after` says what follows the one that it was. */
  function scanned(name: string | number, scan: Scan, after: (index: number) => Rest): Place {
    const { ends } = scan;
    const behind = ends === undefined ? [] : after(ends).places();
    return {
      key: `${name}:${scan.key}|${after(ends ?? 0).key}`,
      isEnd: behind.some((place) => place.isEnd),
      ...(scan.room === undefined ? {} : { room: scan.room }),
      next: (byte) => {
        const longer = scan.next(byte);
        const on = behind.flatMap((place) => place.next(byte));
        return longer === undefined ? on : [scanned(name, longer, after), ...on];
      },
    };
  }

  function firstItem(shape: Shape & { kind: 'array' }, number: number, rest: Rest): Place {
    const { items, least, most = Infinity } = shape;
    return {
      key: `${number}[]|${rest.key}`,
      isEnd: false,
      next: (byte) => {
        if (byte === CLOSE_LIST) return least === 0 ? rest.places() : [];
        return most === 0 ? [] : goOn(value(items, behindItem(shape, number, 1, rest)), byte);
      },
    };
  }

  function behindItem(shape: Shape & { kind: 'array' }, number: number, count: number, rest: Rest): Rest {
    const { items, least, most = Infinity } = shape;
    // Where nothing limits the number of items, only whether they are enough matters.
    const counted = most === Infinity ? Math.min(count, least) : count;
    const key = `${number}]${counted}|${rest.key}`;
    return {
      key,
      places: () => [
        on(key, undefined, {
          [CLOSE_LIST]: () => (counted >= least ? rest.places() : []),
          [COMMA]: () =>
            counted < most
              ? spaced(`${key},`, () => value(items, behindItem(shape, number, counted + 1, rest)))
              : [],
        }),
      ],
    };
  }

  /** Places before the members from `from` on, `isFirst` behind the bracket and otherwise behind a comma. */
  function members(
    properties: readonly Property[],
    number: number,
    from: number,
    isFirst: boolean,
    rest: Rest,
  ): readonly Place[] {
    const required = properties.findIndex(({ isRequired }, i) => i >= from && isRequired);
    const candidates = properties.slice(from, required < 0 ? properties.length : required + 1);
    const keys = candidates.map(({ name }) => `${JSON.stringify(name)}:`);
    const valueOf = (index: number): Rest => {
      const at = from + index;
      const key = `${number}=${at}|${rest.key}`;
      return { key, places: () => spaced(key, () => value(properties[at]!.shape, behindMember(at + 1))) };
    };
    const behindMember = (at: number): Rest => {
      const key = `${number}}${at}|${rest.key}`;
      const isComplete = properties.every(({ isRequired }, i) => i < at || !isRequired);
      return {
        key,
        places: () => [
          on(key, undefined, {
            [CLOSE_OBJECT]: () => (isComplete ? rest.places() : []),
            [COMMA]: () =>
              at < properties.length
                ? spaced(`${key},`, () => members(properties, number, at, false, rest))
                : [],
          }),
        ],
      };
    };
    // The names of every beginning are texts of their own, whose positions are counted from zero.
    const places = keys.length === 0 ? [] : [scanned(`${number}.${from}`, scanTexts(keys), valueOf)];
    if (!isFirst || required >= 0) return places;
    return [...places, on(`${number}{}`, rest, { [CLOSE_OBJECT]: () => rest.places() })];
  }

  function firstKey(values: Shape, number: number, rest: Rest): Place {
    return {
      key: `${number}{}|${rest.key}`,
      isEnd: false,
      next: (byte) => (byte === CLOSE_OBJECT ? rest.places() : goOn(freeKey(values, number, rest), byte)),
    };
  }

  function freeKey(values: Shape, number: number, rest: Rest): readonly Place[] {
    const behindKey: Rest = {
      key: `${number}:|${rest.key}`,
      places: () => [
        on(`${number}:`, rest, {
          [COLON]: () => spaced(`${number}=|${rest.key}`, () => value(values, behindValue)),
        }),
      ],
    };
    const behindValue: Rest = {
      key: `${number}}|${rest.key}`,
      places: () => [
        on(`${number}}`, rest, {
          [CLOSE_OBJECT]: () => rest.places(),
          [COMMA]: () => spaced(`${number},|${rest.key}`, () => freeKey(values, number, rest)),
        }),
      ],
    };
    return [scanned(number, scanString(0), () => behindKey)];
  }

  return value(root, END);
}

/** Nothing follows. */
const END: Rest = { key: '', places: () => [{ key: 'end', isEnd: true, next: () => [] }] };

/** A place where certain bytes may come. */
function on(
  name: string,
  rest: Rest | undefined,
  bytes: Readonly<Record<number, () => readonly Place[]>>,
): Place {
  return {
    key: rest === undefined ? name : `${name}|${rest.key}`,
    isEnd: false,
    next: (byte) => bytes[byte]?.() ?? [],
  };
}

/** The places, and before them one that takes a space. */
function spaced(name: string, places: () => readonly Place[]): readonly Place[] {
  return [
    {
      key: `_${name}`,
      isEnd: false,
      next: (byte) => (byte === SPACE ? places() : goOn(places(), byte)),
    },
  ];
}

/** Leaves out places that are there already. */
export function distinctPlaces(places: readonly Place[]): readonly Place[] {
  return [...new Map(places.map((place) => [place.key, place])).values()];
}

function goOn(places: readonly Place[], byte: number): readonly Place[] {
  return places.flatMap((place) => place.next(byte));
}
