/**
 * The grammar as readers of the reference need it, taken from the parser itself.
 *
 * The parser accepts more than the language: whatever can be missing is optional, so that a file with holes still has
 * a tree, and every list ends with an alternative that takes any other item. Here the recovery is taken out again.
 * What is optional in earnest is listed, and a few rules are written out where the parser reads more than one thing
 * alike and leaves the difference to `build-tree`. Tests hold both to the parser: sentences of these productions have
 * no problems, and each part that is not optional is missed when it is left out.
 */
import type { IProduction, Rule, TokenType } from 'chevrotain';
import {
  Alternation,
  Alternative,
  NonTerminal,
  Option,
  Repetition,
  RepetitionMandatory,
  Terminal,
} from 'chevrotain';
import { planParser } from './parser.js';
import * as t from './tokens.js';

export type Production =
  /** `literal`: the one name that may stand here. */
  | { readonly kind: 'token'; readonly type: TokenType; readonly literal?: string }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'sequence'; readonly parts: readonly Production[] }
  | { readonly kind: 'choice'; readonly parts: readonly Production[] }
  | { readonly kind: 'optional'; readonly part: Production }
  | { readonly kind: 'repeat'; readonly part: Production; readonly least: 0 | 1 }
  /** Items separated by commas, or by commas and line ends. */
  | {
      readonly kind: 'list';
      readonly item: Production;
      readonly by: 'comma' | 'line';
      readonly least: 0 | 1;
    };

/** Rules that only recovery uses; their alternatives and options are left out. */
const RECOVERY = new Set([
  'unknown',
  'unmatched',
  'junk',
  'tail',
  'stray',
  'strayEntry',
  'surplus',
  'miskey',
  'miscompared',
  'balanced',
]);

/** Rules that stand for one sign, with a mistaken spelling beside it. */
const ONE_SIGN: Readonly<Record<string, TokenType>> = { open: t.LCurly, colon: t.Colon };

/** Options that are read only to be reported. */
const REPORTED = new Set(['importDecl.3', 'recordEntry.3']);

/** Parts that may be left out, as `rule.number`. */
const OPTIONAL = new Set([
  ...['quantity.0', 'segment.0', 'index.2', 'importName.1', 'paramDecl.6', 'replicateMember.2', 'flowDecl.4'],
  ...['neverItem.2', 'neverItem.4', 'boundItem.1'],
]);

const name = (): Production => token(t.Name);
const token = (type: TokenType): Production => ({ kind: 'token', type });
const word = (text: keyof typeof t.keywords): Production => token(t.keywords[text]);
const rule = (of: string): Production => ({ kind: 'rule', name: of });
const all = (...parts: readonly Production[]): Production => ({ kind: 'sequence', parts });
const either = (...parts: readonly Production[]): Production => ({ kind: 'choice', parts });
const maybe = (...parts: readonly Production[]): Production => ({ kind: 'optional', part: sequence(parts) });
const some = (part: Production, least: 0 | 1): Production => ({ kind: 'repeat', part, least });

/** Rules that say less than the parser reads; clauses of a head may stand in any order, each once. */
const WRITTEN: Readonly<Record<string, Production>> = {
  file: { kind: 'list', item: rule('fileItem'), by: 'line', least: 0 },
  planDecl: all(
    ...[
      word('plan'),
      name(),
      maybe(word('for'), name()),
      maybe(word('on'), name()),
      maybe(word('from'), name()),
    ],
    rule('planBlock'),
  ),
  stageDecl: all(
    ...[word('stage'), name(), maybe(rule('phases')), maybe(rule('onClause')), maybe(rule('likeClause'))],
    rule('stageBlock'),
  ),
  placed: all(
    name(),
    either(
      all(token(t.Colon), rule('value')),
      all(
        maybe(token(t.LSquare), rule('expression'), token(t.RSquare)),
        either(all(token(t.Colon), name()), rule('topologyBlock')),
      ),
    ),
  ),
  linkDecl: all(word('link'), rule('path'), token(t.BothWays), rule('path'), rule('propertyBlock')),
  meshMember: all(
    word('mesh'),
    either(all(token(t.LParen), rule('meshEntries'), token(t.RParen)), {
      kind: 'token',
      type: t.Name,
      literal: 'auto',
    }),
  ),
  reference: either(all(name(), rule('args')), rule('path')),
  value: either(rule('expression'), all(rule('link'), some(all(token(t.Arrow), rule('link')), 0))),
  link: all(rule('path'), maybe(word('up'), word('to'), rule('expression'))),
};

/** All rules that a file can be made of by name, from `file` on in the order in which they are first named. */
export function productions(): ReadonlyMap<string, Production> {
  const parsed = Object.values(planParser().getGAstProductions());
  const all = new Map(parsed.map((each) => [each.name, WRITTEN[each.name] ?? readRule(each)]));
  const reached = new Set(['file']);
  for (const called of reached) for (const next of rulesIn(all.get(called)!)) reached.add(next);
  return new Map([...reached].map((called) => [called, all.get(called)!]));
}

/** What a production is directly made of. */
export function partsOf(production: Production): readonly Production[] {
  switch (production.kind) {
    case 'token':
    case 'rule':
      return [];
    case 'list':
      return [production.item];
    case 'optional':
    case 'repeat':
      return [production.part];
    default:
      return production.parts;
  }
}

/** Names of the rules that a production refers to. */
function rulesIn(production: Production): readonly string[] {
  return production.kind === 'rule' ? [production.name] : partsOf(production).flatMap(rulesIn);
}

/** Texts of a sign, of a keyword, or of all operators. */
export function alternatives(type: TokenType): readonly string[] {
  const words = Object.entries(t.keywords);
  if (type !== t.Infix) return [words.find(([, keyword]) => keyword === type)?.[0] ?? String(type.PATTERN)];
  const signs = t.allTokens.filter((each) => each.CATEGORIES?.includes(t.Infix));
  return signs.flatMap(alternatives);
}

/** A token as the reference shows it: a word or a sign in quotes, or the name of a class of tokens. */
export function tokenText({ type, literal }: Production & { kind: 'token' }): string {
  if (literal !== undefined) return `"${literal}"`;
  if (type === t.Name || type === t.Identifier) return 'name';
  if (type === t.NumberToken) return 'number';
  if (type === t.StringToken) return 'text';
  if (type === t.Unit) return 'unit';
  if (type === t.Infix) return 'operator';
  return `"${alternatives(type)[0]!}"`;
}

function readRule(parsed: Rule): Production {
  const read = (definition: readonly IProduction[]): Production => {
    const parts = definition.flatMap((part) => {
      const production = readPart(part);
      return production ? [production] : [];
    });
    return sequence(parts);
  };
  const readPart = (part: IProduction): Production | undefined => {
    if (part instanceof Terminal) return token(part.terminalType);
    if (part instanceof NonTerminal) {
      const called = part.nonTerminalName;
      if (RECOVERY.has(called)) return undefined;
      const sign = ONE_SIGN[called];
      return sign ? token(sign) : rule(called);
    }
    if (part instanceof Option) {
      const id = `${parsed.name}.${part.idx}`;
      const inner = read(part.definition);
      if (isEmpty(inner) || REPORTED.has(id)) return undefined;
      return OPTIONAL.has(id) ? maybe(inner) : inner;
    }
    if (part instanceof Repetition) return repeat(read(part.definition), 0);
    if (part instanceof RepetitionMandatory) return repeat(read(part.definition), 1);
    if (part instanceof Alternation) {
      const parts = part.definition
        .map((alternative) => readPart(alternative)!)
        .filter((each) => !isEmpty(each));
      return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
    }
    if (part instanceof Alternative) return read(part.definition);
    return undefined;
  };
  return read(parsed.definition);
}

function isEmpty(production: Production): boolean {
  return production.kind === 'sequence' && production.parts.length === 0;
}

/** Joins parts; an item and the list of further ones are one list. */
function sequence(parts: readonly Production[]): Production {
  const joined: Production[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (part.kind === 'list' && last && sameProduction(part.item, last))
      joined[joined.length - 1] = { ...part, least: 1 };
    else joined.push(part);
  }
  return joined.length === 1 ? joined[0]! : { kind: 'sequence', parts: joined };
}

/** A repetition whose alternatives include the separator is a list. */
function repeat(part: Production, least: 0 | 1): Production {
  const alternatives = part.kind === 'choice' ? part.parts : [part];
  const separator = alternatives.find(
    (each) => each.kind === 'token' && (each.type === t.Comma || each.type === t.Separator),
  );
  if (separator?.kind !== 'token') return { kind: 'repeat', part, least };
  const items = alternatives.filter((each) => each !== separator);
  return {
    kind: 'list',
    item: items.length === 1 ? items[0]! : { kind: 'choice', parts: items },
    by: separator.type === t.Comma ? 'comma' : 'line',
    least,
  };
}

function sameProduction(a: Production, b: Production): boolean {
  return a.kind === 'rule' && b.kind === 'rule' && a.name === b.name;
}
