/**
 * From a JSON schema to the shape of answers. A schema is taken only if all of it will hold: a keyword that is not listed
 * here is refused by name. Every text of the shape is valid; not every valid text is of the shape (properties come in their
 * order, and none that are not declared come beside those that are).
 */
import { ANY, ANY_DEFINITION, ANY_VALUE, type AnswerShape, type Property, type Shape } from './shape.js';

export type SchemaAnswer =
  | { readonly kind: 'accepted'; readonly shape: AnswerShape }
  /** `why` names the keyword, `at` the place as a JSON pointer. */
  | { readonly kind: 'refused'; readonly at: string; readonly why: string };

type JsonObject = Readonly<Record<string, unknown>>;

/** Keywords that say nothing about what is valid. */
const NOTES = ['title', 'description', 'default', 'examples', 'deprecated', '$schema', '$comment'];
const DEFINITIONS = ['$defs', 'definitions'];

/** Keywords of every type, beside `type`. */
const BY_TYPE: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  number: [],
  boolean: [],
  null: [],
};

/** Characters of a schema. */
const MAX_LENGTH = 50_000;

class Refused extends Error {
  constructor(
    readonly at: string,
    why: string,
  ) {
    super(why);
  }
}

/** Reads a schema, which is a JSON value. */
export function readSchema(schema: unknown): SchemaAnswer {
  try {
    const root = objectAt(schema, '');
    const { length } = JSON.stringify(root);
    if (length > MAX_LENGTH) throw new Refused('', `it has ${length} characters, ${MAX_LENGTH} at most`);
    const definitions = new Map([[ANY, ANY_DEFINITION]]);
    for (const keyword of DEFINITIONS) {
      if (!(keyword in root)) continue;
      const named = objectAt(root[keyword], `/${keyword}`);
      for (const name of Object.keys(named)) {
        definitions.set(`#/${keyword}/${name}`, shapeIn(named, name, `/${keyword}`, root));
      }
    }
    for (const name of definitions.keys()) refuseCircle(name, definitions);
    const shape = { root: shapeOf(root, '', root), definitions };
    refuseEndless(shape);
    return { kind: 'accepted', shape };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { kind: 'refused', at: error.at, why: error.message };
  }
}

function shapeOf(schema: JsonObject, at: string, root: JsonObject): Shape {
  if ('$ref' in schema) {
    refuseOthers(schema, ['$ref'], at);
    return { kind: 'reference', to: referenceOf(schema['$ref'], at, root) };
  }
  if ('anyOf' in schema) {
    refuseOthers(schema, ['anyOf'], at);
    return { kind: 'choice', of: choicesOf(schema, 'anyOf', at, root) };
  }
  if ('allOf' in schema) {
    refuseOthers(schema, ['allOf'], at);
    const [only, ...more] = choicesOf(schema, 'allOf', at, root);
    if (more.length > 0) throw new Refused(`${at}/allOf`, 'more than one schema is not supported');
    return only!;
  }
  if ('enum' in schema || 'const' in schema) {
    const keyword = 'enum' in schema ? 'enum' : 'const';
    refuseOthers(schema, [keyword, 'type'], at);
    return { kind: 'texts', texts: valuesOf(schema, keyword, at) };
  }
  const types = typesOf(schema, at);
  // Bounds are of integers alone: a number that is none could pass them by its fraction.
  const bounded = types.filter((type) => type !== 'integer' || !types.includes('number'));
  refuseOthers(schema, ['type', ...bounded.flatMap((type) => BY_TYPE[type]!)], at);
  if (types.length === 0) return ANY_VALUE;
  const shapes = types.map((type) => typedShape(type, schema, at, root));
  return shapes.length === 1 ? shapes[0]! : { kind: 'choice', of: shapes };
}

/** Refuses a schema with keywords that are neither listed nor notes. */
function refuseOthers(schema: JsonObject, keywords: readonly string[], at: string): void {
  const known = [...keywords, ...NOTES, ...(at === '' ? DEFINITIONS : [])];
  const foreign = Object.keys(schema).find((key) => !known.includes(key));
  if (foreign === undefined) return;
  const isOfType = Object.values(BY_TYPE).some((of) => of.includes(foreign));
  const needsType = isOfType && keywords.includes('type') && !('type' in schema);
  throw new Refused(at, `\`${foreign}\` ${needsType ? 'needs a `type` beside it' : 'is not supported here'}`);
}

function typedShape(type: string, schema: JsonObject, at: string, root: JsonObject): Shape {
  switch (type) {
    case 'object':
      return objectOf(schema, at, root);
    case 'array': {
      const items = 'items' in schema ? shapeIn(schema, 'items', at, root) : ANY_VALUE;
      return { kind: 'array', items, ...countsOf(schema, 'minItems', 'maxItems', at) };
    }
    case 'string':
      return { kind: 'string', ...countsOf(schema, 'minLength', 'maxLength', at) };
    case 'integer':
      return integerOf(schema, at);
    case 'number':
      return { kind: 'number' };
    case 'boolean':
      return { kind: 'texts', texts: ['true', 'false'] };
    default:
      return { kind: 'texts', texts: ['null'] };
  }
}

/** The shape of the schema that a keyword has. */
function shapeIn(schema: JsonObject, keyword: string, at: string, root: JsonObject): Shape {
  const inner = within(at, keyword);
  return shapeOf(objectAt(schema[keyword], inner), inner, root);
}

function choicesOf(schema: JsonObject, keyword: string, at: string, root: JsonObject): readonly Shape[] {
  const inner = within(at, keyword);
  return listAt(schema[keyword], inner).map((choice, i) =>
    shapeOf(objectAt(choice, `${inner}/${i}`), `${inner}/${i}`, root),
  );
}

function valuesOf(schema: JsonObject, keyword: 'enum' | 'const', at: string): readonly string[] {
  const inner = within(at, keyword);
  const values = keyword === 'enum' ? listAt(schema[keyword], inner) : [schema[keyword]];
  const types = typesOf(schema, at);
  if (types.length > 0 && values.some((value) => !types.some((type) => isOf(value, type)))) {
    throw new Refused(inner, 'a value is not of the `type`');
  }
  return values.map((value) =>
    JSON.stringify(value, (_key, part: unknown) => {
      if (typeof part !== 'number' || Number.isFinite(part)) return part;
      throw new Refused(inner, 'a number is beyond what an f64 can hold');
    }),
  );
}

/** A reference to a definition of the schema itself. */
function referenceOf(reference: unknown, at: string, root: JsonObject): string {
  const [, keyword, name] = /^#\/(\$defs|definitions)\/([^/%~]+)$/.exec(String(reference)) ?? [];
  const named = keyword === undefined ? undefined : root[keyword];
  const isThere = typeof named === 'object' && named !== null && Object.hasOwn(named, name!);
  if (!isThere) throw new Refused(`${at}/$ref`, 'it must be `#/$defs/NAME` of an entry that is there');
  return String(reference);
}

/** Refuses a definition that is nothing but a reference to itself, by whatever way. */
function refuseCircle(name: string, definitions: ReadonlyMap<string, Shape>): void {
  const seen = new Set<string>();
  const follow = (shape: Shape): void => {
    if (shape.kind === 'choice') shape.of.forEach(follow);
    if (shape.kind !== 'reference') return;
    if (shape.to === name) throw new Refused(name.slice(1), 'it is nothing but itself');
    if (seen.has(shape.to)) return;
    seen.add(shape.to);
    follow(definitions.get(shape.to)!);
  };
  follow(definitions.get(name)!);
}

/** The definitions that a shape refers to, or another that it refers to does. */
function reached({ root, definitions }: AnswerShape): ReadonlySet<string> {
  const seen = new Set<string>();
  const follow = (shape: Shape): void => {
    switch (shape.kind) {
      case 'reference':
        if (seen.has(shape.to)) return;
        seen.add(shape.to);
        follow(definitions.get(shape.to)!);
        return;
      case 'choice':
        shape.of.forEach(follow);
        return;
      case 'array':
        follow(shape.items);
        return;
      case 'object':
        shape.properties.forEach((property) => follow(property.shape));
        return;
      case 'map':
        follow(shape.values);
    }
  };
  follow(root);
  return seen;
}

/**
 * Refuses a definition of which no text ever ends, since each holds another of its kind, where an answer may come to it.
 * With all those definitions so does every other part of a schema have a text.
 */
function refuseEndless(answer: AnswerShape): void {
  const ending = new Set<string>();
  const ends = (shape: Shape): boolean => {
    switch (shape.kind) {
      case 'reference':
        return ending.has(shape.to);
      case 'choice':
        return shape.of.some(ends);
      case 'array':
        return shape.least === 0 || ends(shape.items);
      case 'object':
        return shape.properties.every((property) => !property.isRequired || ends(property.shape));
      default:
        return true;
    }
  };
  let known: number;
  do {
    known = ending.size;
    for (const [name, shape] of answer.definitions) if (!ending.has(name) && ends(shape)) ending.add(name);
  } while (ending.size > known);
  const endless = [...reached(answer)].find((name) => !ending.has(name));
  if (endless !== undefined)
    throw new Refused(endless.slice(1), 'no text of it ends: it always needs another');
}

function objectOf(schema: JsonObject, at: string, root: JsonObject): Shape {
  const named = 'properties' in schema ? objectAt(schema['properties'], `${at}/properties`) : {};
  const names = Object.keys(named);
  const required = 'required' in schema ? listAt(schema['required'], `${at}/required`, 0) : [];
  const undeclared = required.find((name) => typeof name !== 'string' || !names.includes(name));
  if (undeclared !== undefined) {
    throw new Refused(`${at}/required`, `${JSON.stringify(undeclared)} is not among the \`properties\``);
  }
  const more = schema['additionalProperties'] ?? names.length === 0;
  if (typeof more !== 'boolean' && !isOf(more, 'object')) {
    throw new Refused(`${at}/additionalProperties`, 'it must be true, false or a schema');
  }
  if (names.length === 0 && more !== false) {
    const values = more === true ? ANY_VALUE : shapeIn(schema, 'additionalProperties', at, root);
    return { kind: 'map', values };
  }
  // A key that is free could be that of a property, and then have a value that is none of its.
  if (typeof more !== 'boolean') {
    throw new Refused(`${at}/additionalProperties`, 'a schema is supported only without `properties`');
  }
  const properties = names.map((name): Property => {
    const shape = shapeIn(named, name, `${at}/properties`, root);
    return { name, shape, isRequired: required.includes(name) };
  });
  return { kind: 'object', properties };
}

function countsOf(
  schema: JsonObject,
  low: string,
  high: string,
  at: string,
): { readonly least: number; readonly most?: number } {
  const [least, most] = [low, high].map((keyword) => {
    const value = schema[keyword];
    if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)) return value;
    throw new Refused(within(at, keyword), 'it must be a whole number from 0');
  }) as [number | undefined, number | undefined];
  if ((least ?? 0) > (most ?? Infinity)) throw new Refused(within(at, low), `it is above \`${high}\``);
  return { least: least ?? 0, ...(most === undefined ? {} : { most }) };
}

/** Whole numbers within the bounds and within those of an exact f64. */
function integerOf(schema: JsonObject, at: string): Shape {
  const read = (keyword: string, otherwise: number): number => {
    const value = schema[keyword] ?? otherwise;
    if (typeof value === 'number') return value;
    throw new Refused(within(at, keyword), 'it must be a number');
  };
  const least = Math.max(
    Number.MIN_SAFE_INTEGER,
    Math.ceil(read('minimum', -Infinity)),
    Math.floor(read('exclusiveMinimum', -Infinity)) + 1,
  );
  const most = Math.min(
    Number.MAX_SAFE_INTEGER,
    Math.floor(read('maximum', Infinity)),
    Math.ceil(read('exclusiveMaximum', Infinity)) - 1,
  );
  if (least > most) throw new Refused(at, 'its bounds leave no whole number that an f64 has exactly');
  return { kind: 'integer', least, most };
}

function typesOf(schema: JsonObject, at: string): readonly string[] {
  const given = schema['type'];
  if (given === undefined) return [];
  const types = Array.isArray(given) ? listAt(given, `${at}/type`) : [given];
  const foreign = types.find((type) => typeof type !== 'string' || !Object.hasOwn(BY_TYPE, type));
  if (foreign !== undefined) {
    const names = Object.keys(BY_TYPE).join(', ');
    throw new Refused(`${at}/type`, `${JSON.stringify(foreign)} is no type; types are ${names}`);
  }
  return types as string[];
}

/** Whether a value is of a type. */
function isOf(value: unknown, type: string): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function objectAt(value: unknown, at: string): JsonObject {
  if (!isOf(value, 'object')) throw new Refused(at, 'it must be an object');
  return value as JsonObject;
}

function listAt(value: unknown, at: string, least = 1): readonly unknown[] {
  if (!Array.isArray(value)) throw new Refused(at, 'it must be a list');
  if (value.length < least) throw new Refused(at, 'it must not be empty');
  return value;
}

/** A place one key deeper. */
function within(at: string, key: string): string {
  return `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
