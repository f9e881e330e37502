/**
 * Params: their values, their closed domains, and the rounds of checking. A plan with params is checked once for
 * every combination of values that its params may take, so that `--set` can never turn a good file into a bad one.
 */
import { isName } from '../../grammar/names.js';
import type { Expr, ParamDecl } from '../../grammar/syntax.js';
import { TRUTH_WORDS } from '../../grammar/truth-words.js';
import { report } from '../diagnostics/catalogue.js';
import type { Origin } from '../diagnostics/diagnostic.js';
import { evaluate, plainName, type Scalar } from './evaluate.js';
import { PARAM_TYPES, type ParamType } from './param-types.js';
import { insertion, replacement } from './fixes.js';
import { at, choices, MOST_CHOICES, type Context, type ParamValue, type Scope } from './scope.js';
import { DIMENSION_WORDS, formatQuantity, UNITS } from './units.js';

/** Values of all params in one round. */
export type Assignment = ReadonlyMap<ParamDecl, ParamValue>;

export interface ParamRounds {
  /** What the plans are made with: the written values, changed by `--set`. */
  readonly chosen: Assignment;
  /** Other combinations of domain values: all, or as many as are checked. */
  readonly others: readonly Assignment[];
  /** How many there are in all. */
  readonly combinations: number;
  readonly domains: ParamDomains;
}

/** The values that a param may take, and where each is written. */
export type ParamDomains = ReadonlyMap<
  ParamDecl,
  readonly { readonly value: ParamValue; readonly origin: Origin }[]
>;

/** Most combinations that are checked. */
const MOST_ROUNDS = 256;

interface Param {
  readonly decl: ParamDecl;
  readonly cx: Context;
  readonly type: ParamType;
  readonly value: ParamValue;
  /** Each value once. */
  readonly domain: readonly ParamValue[];
  /** Where the values of the domain are written. */
  readonly places: readonly { readonly value: ParamValue; readonly origin: Origin }[];
}

/** Reads all params of the given files and lays out the rounds. */
export function readParams(
  contexts: readonly Context[],
  root: Scope | undefined,
  set: Readonly<Record<string, string>>,
): ParamRounds {
  const params: Param[] = [];
  for (const cx of contexts)
    for (const item of cx.scope.file.items)
      if (item.kind === 'param') {
        const param = readParam(item, cx);
        if (param) params.push(param);
      }
  const fixed = readSet(params, contexts[0], root, set);
  const chosen = new Map(params.map((p): [ParamDecl, ParamValue] => [p.decl, fixed.get(p.decl) ?? p.value]));
  const free = params.filter((p) => !fixed.has(p.decl) && p.domain.length > 1);
  const combinations = free.reduce((n, p) => n * p.domain.length, 1);
  if (combinations > MOST_ROUNDS) {
    const first = free[0]!;
    first.cx.report(
      report(
        'too-many-values',
        { combinations, done: MOST_ROUNDS, what: 'checked' },
        {
          primary: at(first.cx, first.decl.name),
          notes: [
            `${MOST_ROUNDS} are checked at most: first each value of a param with the chosen values of the others`,
          ],
          helps: ['`--set` fixes a param to one value: the others are checked with that'],
        },
      ),
    );
  }
  const [, ...others] = firstRounds(chosen, free, combinations);
  return { chosen, others, combinations, domains: new Map(params.map((p) => [p.decl, p.places])) };
}

/**
 * The combinations that are checked: the chosen one, then every value beside the chosen values of the other params, which
 * are a sum and no product, then what else there is room for.
 */
function firstRounds(
  chosen: Assignment,
  free: readonly Param[],
  combinations: number,
): readonly Assignment[] {
  const rounds = new Map<string, Assignment>();
  const add = (round: Assignment): void => {
    if (rounds.size < MOST_ROUNDS) rounds.set(JSON.stringify(free.map(({ decl }) => round.get(decl))), round);
  };
  add(chosen);
  const longest = Math.max(0, ...free.map(({ domain }) => domain.length));
  // The params take turns: one with many values leaves room for those of the others.
  for (let i = 0; i < longest && rounds.size < MOST_ROUNDS; i++)
    for (const { decl, domain } of free) if (i < domain.length) add(new Map([...chosen, [decl, domain[i]!]]));
  for (let i = 0; i < combinations && rounds.size < MOST_ROUNDS; i++) {
    const round = new Map(chosen);
    let rest = i;
    for (const { decl, domain } of free) {
      round.set(decl, domain[rest % domain.length]!);
      rest = Math.floor(rest / domain.length);
    }
    add(round);
  }
  return [...rounds.values()];
}

function readParam(decl: ParamDecl, cx: Context): Param | undefined {
  const type = PARAM_TYPES.get(decl.type.text);
  if (!type) {
    if (decl.type.text === '') return undefined;
    const primary = at(cx, decl.type);
    cx.report(
      report(
        'unknown-param-type',
        { type: decl.type.text },
        { primary, ...choices(primary, decl.type.text, [...PARAM_TYPES.keys()], 'types') },
      ),
    );
    return undefined;
  }
  const read = (expr: Expr): ParamValue | undefined => readValue(expr, type, cx, `\`${decl.name.text}\``);
  const value = read(decl.value);
  const places = (decl.domain?.items ?? []).flatMap((item) => {
    const known = read(item);
    return known === undefined ? [] : [{ value: known, origin: at(cx, item) }];
  });
  const domain = [...new Set(places.map((place) => place.value))];
  if (value === undefined) return undefined;
  if (decl.domain && places.length === decl.domain.items.length && !domain.includes(value))
    cx.report(
      report(
        'outside-domain',
        {
          param: decl.name.text,
          value: showValue(value, type),
          domain: domain.map((v) => showValue(v, type)),
        },
        {
          primary: at(cx, decl.value),
          related: [{ ...at(cx, decl.domain), label: 'the values it may take' }],
          fixes: [
            ...decl.domain.items
              .slice(0, MOST_CHOICES)
              .map((item) => replacement(at(cx, decl.value), textOf(item, cx))),
            insertion(
              cx,
              decl.domain.items.at(-1)?.span.end ?? decl.domain.span.start + 1,
              `${domain.length > 0 ? ', ' : ''}${textOf(decl.value, cx)}`,
              `Add \`${textOf(decl.value, cx)}\` to its values`,
            ),
          ],
        },
      ),
    );
  return { decl, cx, type, value, domain, places };
}

const textOf = ({ span }: Expr, cx: Context): string => cx.scope.file.text.slice(span.start, span.end);

function readValue(expr: Expr, type: ParamType, cx: Context, what: string): ParamValue | undefined {
  if (expr.kind === 'error') return undefined;
  if (type.kind === 'name') {
    const name = plainName(expr);
    if (name) return name.text;
    cx.report(
      report('wrong-type', { what, expected: 'a name', found: 'something else' }, { primary: at(cx, expr) }),
    );
    return undefined;
  }
  const value = evaluate(expr, cx, what, type.kind === 'number' ? type.dimension : undefined);
  return value && accept(value, type, cx, what, at(cx, expr));
}

function accept(
  value: Scalar,
  type: ParamType,
  cx: Context,
  what: string,
  primary: Origin,
): ParamValue | undefined {
  if (type.kind === 'number' && value.kind === 'number') {
    const bare = value.dimension === 'number' && ['tokens', 'requests', 'fraction'].includes(type.dimension);
    if (value.dimension !== type.dimension && !bare) {
      cx.report(
        report(
          'unit-mismatch',
          { what, expected: DIMENSION_WORDS[type.dimension], found: DIMENSION_WORDS[value.dimension] },
          { primary },
        ),
      );
      return undefined;
    }
    if (type.whole && !Number.isInteger(value.value)) {
      cx.report(
        report('out-of-range', { what, value: String(value.value), must: 'a whole number' }, { primary }),
      );
      return undefined;
    }
    return value.value;
  }
  if (value.kind === type.kind) return value.value;
  const expected =
    type.kind === 'number'
      ? DIMENSION_WORDS[type.dimension]
      : type.kind === 'bool'
        ? '`true` or `false`'
        : 'a string in quotes';
  cx.report(
    report(
      'wrong-type',
      { what, expected, found: `a ${value.kind === 'bool' ? 'truth value' : value.kind}` },
      { primary },
    ),
  );
  return undefined;
}

/** A param's value as a reader would write it. */
export function showValue(value: ParamValue, type?: ParamType): string {
  if (typeof value === 'number' && type?.kind === 'number') return formatQuantity(value, type.dimension);
  return typeof value === 'string' && type?.kind === 'string' ? JSON.stringify(value) : String(value);
}

/** Values given from outside, as text: `4`, `24 GiB`, `true`, `f16`. */
function readSet(
  params: readonly Param[],
  cx: Context | undefined,
  root: Scope | undefined,
  set: Readonly<Record<string, string>>,
): Assignment {
  const fixed = new Map<ParamDecl, ParamValue>();
  for (const [name, text] of Object.entries(set)) {
    const decl = root?.names.get(name)?.decl;
    const param = params.find((p) => p.decl === decl);
    if (!param) {
      const known = [...(root?.names ?? [])].filter(([, b]) => b.decl.kind === 'param').map(([n]) => n);
      const helps = known.length > 0 ? [`params here: ${known.join(', ')}`] : ['this file has no params'];
      if (decl?.kind !== 'param') cx?.report(report('unknown-param', { param: name }, { helps }));
      continue;
    }
    const value = parseSet(text.trim(), param.type);
    const primary = at(param.cx, param.decl.name);
    const shown = value === undefined ? text : showValue(value, param.type);
    if (value !== undefined && (param.decl.domain === undefined || param.domain.includes(value))) {
      fixed.set(param.decl, value);
      continue;
    }
    const related = param.decl.domain
      ? [{ ...at(param.cx, param.decl.domain), label: 'the values it may take' }]
      : [];
    param.cx.report(
      value === undefined
        ? report(
            'wrong-type',
            {
              what: `\`${name}\``,
              expected: `a value of type ${param.decl.type.text}`,
              found: `\`${text}\``,
            },
            { primary, related },
          )
        : report(
            'outside-domain',
            { param: name, value: shown, domain: param.domain.map((v) => showValue(v, param.type)) },
            { primary, related },
          ),
    );
  }
  return fixed;
}

function parseSet(text: string, type: ParamType): ParamValue | undefined {
  switch (type.kind) {
    case 'bool':
      return TRUTH_WORDS.get(text);
    case 'string':
      return text.replace(/^"(.*)"$/s, '$1');
    case 'name':
      return isName(text) ? text : undefined;
    case 'number': {
      const match = /^(-?[\d_]+(?:\.[\d_]+)?)\s*(\S*)$/.exec(text);
      if (!match) return undefined;
      const number = Number(match[1]!.replaceAll('_', ''));
      const word = match[2]!;
      const unit = word === '' ? undefined : UNITS.get(word);
      if (word !== '' && unit?.dimension !== type.dimension) return undefined;
      const value = number * (unit?.factor ?? 1);
      return Number.isFinite(value) && (!type.whole || Number.isInteger(value)) ? value : undefined;
    }
  }
}
