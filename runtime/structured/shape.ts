/** What a JSON text may be, with everything in it settled: the form of a schema that texts are followed by. */

export type Shape =
  /** One of so many texts, as they stand. */
  | { readonly kind: 'texts'; readonly texts: readonly string[] }
  | { readonly kind: 'integer'; readonly least: number; readonly most: number }
  | { readonly kind: 'number' }
  /** Lengths in characters (code points). */
  | { readonly kind: 'string'; readonly least: number; readonly most?: number }
  | { readonly kind: 'array'; readonly items: Shape; readonly least: number; readonly most?: number }
  /** Properties in this order and no others. */
  | { readonly kind: 'object'; readonly properties: readonly Property[] }
  /** Any keys, with values of one shape. */
  | { readonly kind: 'map'; readonly values: Shape }
  | { readonly kind: 'choice'; readonly of: readonly Shape[] }
  | { readonly kind: 'reference'; readonly to: string };

export interface Property {
  readonly name: string;
  readonly shape: Shape;
  readonly isRequired: boolean;
}

export interface AnswerShape {
  readonly root: Shape;
  /** What references name. */
  readonly definitions: ReadonlyMap<string, Shape>;
}

/** Name of the definition that any value is of. */
export const ANY = 'any';

/** Any value. */
export const ANY_VALUE: Shape = { kind: 'reference', to: ANY };

/** What `ANY_VALUE` refers to. */
export const ANY_DEFINITION: Shape = {
  kind: 'choice',
  of: [
    { kind: 'texts', texts: ['null', 'true', 'false'] },
    { kind: 'number' },
    { kind: 'string', least: 0 },
    { kind: 'array', items: ANY_VALUE, least: 0 },
    { kind: 'map', values: ANY_VALUE },
  ],
};
