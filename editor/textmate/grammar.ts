/**
 * The TextMate grammar of plan files, made from the token table of the language: VS Code, Sublime Text and the many
 * tools that read such grammars colour what the lexer reads. Written to `editor/vscode/syntaxes` by
 * `scripts/generate-editor.mjs`.
 *
 * Regular expressions see one line and no parser. Keywords are contextual, so the grammar follows position: a word
 * before a colon is a property, the word after the keyword of an item is the item's name, any other keyword is one.
 */
import { WORD_PATTERN } from '../../grammar/names.js';
import { keywords, NumberToken, UNIT_PATTERN } from '../../grammar/tokens.js';

/** One rule of a TextMate grammar. */
export interface TextmateRule {
  readonly name?: string;
  readonly match?: string;
  readonly begin?: string;
  readonly end?: string;
  readonly captures?: Readonly<Record<string, { readonly name: string }>>;
  readonly patterns?: readonly TextmateRule[];
  readonly include?: string;
}

export interface TextmateGrammar {
  readonly name: string;
  readonly scopeName: string;
  readonly fileTypes: readonly string[];
  readonly patterns: readonly TextmateRule[];
  readonly repository: Readonly<Record<string, TextmateRule>>;
}

/** Keywords that a name of the user follows. */
const DECLARING = ['param', 'device', 'topology', 'tier', 'model', 'workload', 'plan', 'stage'] as const;
/** Keywords that join or compare values. */
const JOINING = ['and', 'or', 'not', 'in', 'when', 'for', 'on', 'by', 'of', 'up', 'to', 'like', 'as', 'from'];

const WORD = WORD_PATTERN.source;
const anyOf = (words: readonly string[]): string => `\\b(?:${words.join('|')})\\b`;

/** The grammar as the object that is written to JSON. */
export function textmateGrammar(): TextmateGrammar {
  const all = Object.keys(keywords);
  const keyword = anyOf(all);
  const other = all.filter((word) => !JOINING.includes(word));
  const number = (NumberToken.PATTERN as RegExp).source;
  return {
    name: 'Fulcrum plan',
    scopeName: 'source.plan',
    fileTypes: ['plan'],
    patterns: ['comment', 'string', 'property', 'quantity', 'declaration', 'keyword', 'constant', 'sign'].map(
      (name) => ({ include: `#${name}` }),
    ),
    repository: {
      comment: {
        patterns: [
          { name: 'comment.line.documentation.plan', match: '///(?!/).*$' },
          { name: 'comment.line.double-slash.plan', match: '//.*$' },
          { name: 'comment.block.plan', begin: '/\\*', end: '\\*/' },
        ],
      },
      string: {
        name: 'string.quoted.double.plan',
        begin: '"',
        end: '"|$',
        patterns: [
          { name: 'constant.character.escape.plan', match: '\\\\(?:["\\\\/nrt]|u[0-9a-fA-F]{4})' },
          { name: 'invalid.illegal.escape.plan', match: '\\\\.' },
        ],
      },
      property: {
        match: `\\b(${WORD})\\s*(:)`,
        captures: {
          1: { name: 'variable.other.property.plan' },
          2: { name: 'punctuation.separator.key-value.plan' },
        },
      },
      quantity: {
        // A keyword is no unit, and neither is a word before a colon: what `Unit` of the token table says.
        match: `(?<![A-Za-z_0-9])(${number})(?:[ \\t]*(?!${keyword})(${UNIT_PATTERN.source})(?![A-Za-z0-9_]|[ \\t]*:))?`,
        captures: { 1: { name: 'constant.numeric.plan' }, 2: { name: 'keyword.other.unit.plan' } },
      },
      declaration: {
        match: `${anyOf(DECLARING).replace('(?:', '(')}[ \\t]+(?!on\\b)(${WORD})`,
        captures: { 1: { name: 'keyword.declaration.plan' }, 2: { name: 'entity.name.type.plan' } },
      },
      keyword: {
        patterns: [
          { name: 'keyword.operator.word.plan', match: anyOf(JOINING) },
          { name: 'keyword.declaration.plan', match: anyOf(other) },
        ],
      },
      constant: { name: 'constant.language.plan', match: anyOf(['true', 'false', 'auto', 'fill']) },
      sign: {
        patterns: [
          { name: 'keyword.operator.flow.plan', match: '<->|->' },
          { name: 'keyword.operator.range.plan', match: '\\.\\.' },
          { name: 'keyword.operator.comparison.plan', match: '<=|>=|==|!=|<|>' },
          { name: 'keyword.operator.assignment.plan', match: '=' },
          { name: 'keyword.operator.arithmetic.plan', match: '[-+*/]' },
          { name: 'punctuation.separator.plan', match: '[:,.]' },
          { name: 'punctuation.section.plan', match: '[{}()\\[\\]]' },
        ],
      },
    },
  };
}
