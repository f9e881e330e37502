import type { Severity } from '../diagnostic.js';

/** One row of the catalogue: what the code is, how bad it is, and its message made of typed parameters. */
export interface Entry<P> {
  readonly code: `FC${string}`;
  readonly severity: Severity;
  readonly message: (params: P) => string;
}

/** Any row: the parameters are only known where the row is named. */
export type AnyEntry = Entry<never>;

/** An error row. */
export function error<P>(code: `FC${string}`, message: (params: P) => string): Entry<P> {
  return { code, severity: 'error', message };
}

/** A warning row. */
export function warning<P>(code: `FC${string}`, message: (params: P) => string): Entry<P> {
  return { code, severity: 'warning', message };
}

/** What a message is of; its name may be missing, which is said elsewhere. */
export function named(kind: string, name: string): string {
  return name === '' ? `this ${kind}` : `${kind} \`${name}\``;
}

/** Devices, counted. */
export function devicesWord(count: number): string {
  return `${count} device${count === 1 ? '' : 's'}`;
}
