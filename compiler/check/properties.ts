/**
 * Blocks of `name: value` lines against a table of what may stand there: unknown names with a suggestion, doubles,
 * missing ones, and values by their readers.
 */
import type { Name, Property, UnknownItem } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import type { Fix, Origin } from '../diagnostics/diagnostic.js';
import { exampleOf, PROPERTIES, type PropertyDoc } from '../../grammar/reference.js';
import { memberInsertion, removal } from './fixes.js';
import type { PropertyOrigins } from '../plan/plan.js';
import type { Reader } from './readers.js';
import { at, suggestions, type Context } from './scope.js';

export interface PropertySpec<T> {
  readonly read: Reader<T>;
  readonly required?: boolean;
}

export type PropertyTable = Readonly<Record<string, PropertySpec<unknown>>>;

/** A property with the file that it was written in, so that inherited ones keep their own names and spans. */
export interface PlacedProperty {
  readonly cx: Context;
  readonly property: Property;
}

/** Values of a block by property, with where each was written. */
export interface Values<T extends PropertyTable> {
  readonly get: <K extends keyof T>(name: K) => T[K] extends PropertySpec<infer V> ? V | undefined : never;
  readonly origin: (name: keyof T) => Origin | undefined;
  /** The same of all properties that were written. */
  readonly origins: PropertyOrigins;
  /** Some property of the block was wrong or missing, so that defaults must not stand in for it. */
  readonly failed: boolean;
}

/** Properties of a block of one file. */
export function ownProperties(
  cx: Context,
  members: readonly { readonly kind: string }[],
): readonly PlacedProperty[] {
  return members.filter((m): m is Property => m.kind === 'property').map((property) => ({ cx, property }));
}

/** Reports what is given twice among properties of one block. */
export function reportDuplicates(properties: readonly PlacedProperty[], block: string): void {
  const first = new Map<string, PlacedProperty>();
  for (const placed of properties) {
    const { name } = placed.property;
    const earlier = first.get(name.text);
    if (!earlier) {
      first.set(name.text, placed);
      continue;
    }
    placed.cx.report(
      report(
        'duplicate-property',
        { property: name.text, block },
        {
          primary: at(placed.cx, name),
          related: [{ ...at(earlier.cx, earlier.property.name), label: 'first given here' }],
          fixes: [removal(placed.cx, placed.property.span, `this \`${name.text}\``)],
        },
      ),
    );
  }
}

/** Reads a block. Of a double the first stands. `owner` is where a missing property is reported. */
export function readProperties<const T extends PropertyTable>(
  cx: Context,
  table: T,
  properties: readonly PlacedProperty[],
  block: string,
  owner: Name | undefined,
): Values<T> {
  const values = new Map<string, unknown>();
  const origins = new Map<string, Origin>();
  /** What is misspelt is not missing too. */
  const misspelt = new Set<string>();
  let failed = false;
  for (const { cx: from, property } of properties) {
    const { name } = property;
    const spec = Object.hasOwn(table, name.text) ? table[name.text] : undefined;
    if (!spec) {
      const primary = at(from, name);
      const near = suggestions(primary, name.text, Object.keys(table), `properties of a ${block}`);
      for (const { newText } of near.fixes.flatMap(({ edits }) => edits)) misspelt.add(newText);
      const fixes = near.fixes.length > 0 ? near.fixes : [removal(from, property.span, `\`${name.text}\``)];
      from.report(report('unknown-property', { property: name.text, block }, { primary, ...near, fixes }));
      continue;
    }
    if (origins.has(name.text)) continue;
    origins.set(name.text, at(from, property.value));
    const value = spec.read(property.value, from, `\`${name.text}\``);
    if (value === undefined) failed = true;
    else values.set(name.text, value);
  }
  for (const [name, spec] of Object.entries(table)) {
    if (spec.required !== true || origins.has(name)) continue;
    failed = true;
    if (misspelt.has(name)) continue;
    cx.report(
      report(
        'missing-property',
        { property: name, block, name: owner?.text ?? '' },
        owner ? { primary: at(cx, owner), fixes: missingProperty(cx, owner, block, name) } : {},
      ),
    );
  }
  return {
    get: (name) => values.get(name as string) as never,
    origin: (name) => origins.get(name as string),
    origins: Object.fromEntries(origins),
    failed,
  };
}

/** The property with a typical value, for the author to change. */
export function missingProperty(cx: Context, owner: Name, block: string, property: string): readonly Fix[] {
  const docs: Readonly<Record<string, Readonly<Record<string, PropertyDoc>>>> = PROPERTIES;
  const value = docs[block]?.[property]?.value;
  if (value === undefined) return [];
  return memberInsertion(cx, owner.span.end, `${property}: ${exampleOf(value)}`) ?? [];
}

/** Reads the block of a declaration of one file, doubles and all. */
export function readBlock<const T extends PropertyTable>(
  cx: Context,
  table: T,
  members: readonly (Property | UnknownItem)[],
  block: string,
  owner: Name | undefined,
): Values<T> {
  const properties = ownProperties(cx, members);
  reportDuplicates(properties, block);
  return readProperties(cx, table, properties, block, owner);
}
