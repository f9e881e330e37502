import type { Dimension } from './units.js';

/** What a param of a type holds; `name` is a bare word such as an element type (`f16`). */
export type ParamType =
  | { readonly kind: 'number'; readonly dimension: Dimension; readonly whole: boolean }
  | { readonly kind: 'string' | 'bool' | 'name' };

/** Every type that may stand after the colon of a `param`. */
export const PARAM_TYPES: ReadonlyMap<string, ParamType> = new Map<string, ParamType>([
  ['int', { kind: 'number', dimension: 'number', whole: true }],
  ['number', { kind: 'number', dimension: 'number', whole: false }],
  ['bytes', { kind: 'number', dimension: 'bytes', whole: false }],
  ['time', { kind: 'number', dimension: 'seconds', whole: false }],
  ['rate', { kind: 'number', dimension: 'bytes/s', whole: false }],
  ['tokens', { kind: 'number', dimension: 'tokens', whole: true }],
  ['requests', { kind: 'number', dimension: 'requests', whole: true }],
  ['fraction', { kind: 'number', dimension: 'fraction', whole: false }],
  ['string', { kind: 'string' }],
  ['bool', { kind: 'bool' }],
  ['name', { kind: 'name' }],
]);
