/**
 * The one table of everything the compiler can complain about. A row's code and slug never change meaning; its
 * message is a function of typed parameters, so that a message cannot be reported without its facts. Syntax
 * problems (FC01) have a table of their own in `grammar/`, run-time failures (FC09) in `runtime/`.
 */
import type { Diagnostic, Fix, Origin } from './diagnostic.js';
import { ALLOWANCES } from './catalogue/allowances.js';
import type { AnyEntry } from './catalogue/entry.js';
import { EXPECTATIONS } from './catalogue/expectations.js';
import { FLOW } from './catalogue/flow.js';
import { KV } from './catalogue/kv.js';
import { NAMES } from './catalogue/names.js';
import { SHARDING } from './catalogue/sharding.js';
import { TOPOLOGY } from './catalogue/topology.js';
import { TYPES } from './catalogue/types.js';

export const CATALOGUE = {
  ...NAMES,
  ...TYPES,
  ...TOPOLOGY,
  ...SHARDING,
  ...KV,
  ...FLOW,
  ...EXPECTATIONS,
  ...ALLOWANCES,
} satisfies Readonly<Record<string, AnyEntry>>;

export type Slug = keyof typeof CATALOGUE;

/** The facts that the message of `S` is made of. */
export type ParamsOf<S extends Slug> = Parameters<(typeof CATALOGUE)[S]['message']>[0];

/** Where a diagnostic points and what stands beside its message. */
export interface Surroundings {
  readonly primary?: Origin;
  /** Text under the primary span. */
  readonly label?: string;
  readonly related?: readonly (Origin & { readonly label: string })[];
  readonly notes?: readonly string[];
  readonly helps?: readonly string[];
  readonly fixes?: readonly Fix[];
}

/** Makes the diagnostic of a catalogue row. */
export function report<S extends Slug>(slug: S, params: ParamsOf<S>, around: Surroundings = {}): Diagnostic {
  const entry = CATALOGUE[slug];
  const message = (entry.message as (p: ParamsOf<S>) => string)(params);
  return {
    code: entry.code,
    slug,
    severity: entry.severity,
    message,
    ...(around.primary && {
      primary: { ...around.primary, ...(around.label !== undefined && { label: around.label }) },
    }),
    related: around.related ?? [],
    notes: around.notes ?? [],
    helps: around.helps ?? [],
    fixes: around.fixes ?? [],
    data: params as Readonly<Record<string, unknown>>,
  };
}
