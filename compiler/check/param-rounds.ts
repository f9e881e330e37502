/**
 * The findings of all rounds of checking as one list: each once, and those that only some values of params cause name
 * these values and point at them. A plan stands while it fits with the chosen values: that it would not fit with others
 * is a warning.
 */
import type { ParamDecl } from '../../grammar/syntax.js';
import type { Slug } from '../diagnostics/catalogue.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import { PARAM_TYPES } from './param-types.js';
import { showValue, type Assignment, type ParamDomains } from './params.js';
import type { ParamValue } from './scope.js';

/** What one combination of values led to. */
export interface Round {
  readonly assignment: Assignment;
  readonly found: readonly Diagnostic[];
}

/** Errors that depend on how much memory the devices have. */
const OF_ROOM: ReadonlySet<string> = new Set<Slug>(['weights-do-not-fit', 'kv-does-not-fit']);

/** Combinations that a note lists. */
const MOST_LISTED = 3;

/** Collects the findings of all rounds, of which the first has the chosen values. */
export function mergeRounds(rounds: readonly Round[], domains: ParamDomains): readonly Diagnostic[] {
  const merged = new Map<string, { readonly diagnostic: Diagnostic; readonly rounds: Set<Round> }>();
  for (const round of rounds)
    for (const diagnostic of round.found) {
      const { code, primary, message } = diagnostic;
      const key = [code, primary?.file, primary?.span.start, primary?.span.end, message].join(' ');
      const entry = merged.get(key) ?? { diagnostic, rounds: new Set<Round>() };
      entry.rounds.add(round);
      merged.set(key, entry);
    }
  const varying = varyingParams(rounds);
  return [...merged.values()].map(({ diagnostic, rounds: failing }) => {
    if (failing.size === rounds.length) return diagnostic;
    const causes = causingValues([...failing], rounds, varying);
    const notes = [...diagnostic.notes, `with ${causes.text}`];
    const chosen = failing.has(rounds[0]!);
    return {
      ...diagnostic,
      ...(!chosen && OF_ROOM.has(diagnostic.slug) && { severity: 'warning' }),
      notes,
      related: [...diagnostic.related, ...placesOf(causes.values, domains)],
    };
  });
}

type Values = ReadonlyMap<ParamDecl, ReadonlySet<ParamValue>>;

/** Which values a finding depends on: those of a single param where they alone decide, else whole combinations. */
function causingValues(
  failing: readonly Round[],
  rounds: readonly Round[],
  varying: readonly ParamDecl[],
): { readonly text: string; readonly values: Values } {
  const valuesOf = (decl: ParamDecl): ReadonlySet<ParamValue> =>
    new Set(failing.map(({ assignment }) => assignment.get(decl)!));
  const single = varying.find((decl) => {
    const values = valuesOf(decl);
    return rounds.every((round) => values.has(round.assignment.get(decl)!) === failing.includes(round));
  });
  if (single !== undefined) {
    const values = valuesOf(single);
    const shown = [...values].map((value) => show(single, value));
    return { text: `${single.name.text} = ${shown.join(' or ')}`, values: new Map([[single, values]]) };
  }
  const listed = failing
    .slice(0, MOST_LISTED)
    .map(({ assignment }) =>
      varying.map((decl) => `${decl.name.text} = ${show(decl, assignment.get(decl)!)}`).join(', '),
    );
  const more = failing.length - listed.length;
  const text = [...listed, ...(more > 0 ? [`${more} more combinations`] : [])].join('; with ');
  const first = failing[0]!.assignment;
  return { text, values: new Map(varying.map((decl) => [decl, new Set([first.get(decl)!])])) };
}

function show(decl: ParamDecl, value: ParamValue): string {
  return showValue(value, PARAM_TYPES.get(decl.type.text));
}

/** Where the values stand in the domains of their params. */
function placesOf(values: Values, domains: ParamDomains): Diagnostic['related'] {
  return [...values].flatMap(([decl, wanted]) =>
    (domains.get(decl) ?? [])
      .filter(({ value }) => wanted.has(value))
      .map(({ origin }) => ({ ...origin, label: 'with this value' })),
  );
}

/** Params that do not have one and the same value in all rounds. */
function varyingParams(rounds: readonly Round[]): readonly ParamDecl[] {
  const [first] = rounds;
  return [...(first?.assignment.keys() ?? [])].filter((decl) =>
    rounds.some((round) => round.assignment.get(decl) !== first!.assignment.get(decl)),
  );
}
