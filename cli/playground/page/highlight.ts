/** Colours of plan files in CodeMirror, from the language's own lexer: a line end means no more than it does there. */
import { HighlightStyle, StreamLanguage, syntaxHighlighting, type StringStream } from '@codemirror/language';
import type { Extension } from '@codemirror/state';
import { tags } from '@lezer/highlight';
import { WORD_PATTERN } from '../../../grammar/names.js';
import { keywordOf, NumberToken, UNIT_PATTERN } from '../../../grammar/tokens.js';

interface LineState {
  /** Inside a block comment. */
  comment: boolean;
  /** The last token was a number, so a unit may follow. */
  number: boolean;
}

const NUMBER = NumberToken.PATTERN as RegExp;
const WORD = new RegExp(`^${WORD_PATTERN.source}`);

const language = StreamLanguage.define<LineState>({
  name: 'plan',
  startState: () => ({ comment: false, number: false }),
  languageData: { commentTokens: { line: '//', block: { open: '/*', close: '*/' } } },
  token: (stream, state) => {
    if (state.comment || stream.match('/*')) {
      state.comment = !stream.skipTo('*/');
      if (state.comment) stream.skipToEnd();
      else stream.match('*/');
      return 'comment';
    }
    if (stream.sol()) state.number = false;
    if (stream.eatSpace()) return null;
    const afterNumber = state.number;
    state.number = false;
    return nextToken(stream, state, afterNumber);
  },
});

function nextToken(stream: StringStream, state: LineState, afterNumber: boolean): string | null {
  if (stream.match('//')) {
    stream.skipToEnd();
    return 'comment';
  }
  if (stream.match(/^"(?:[^"\\]|\\.)*"?/)) return 'string';
  if (stream.match(new RegExp(`^(?:${NUMBER.source})`))) {
    state.number = true;
    return 'number';
  }
  if (afterNumber && stream.match(new RegExp(`^(?:${UNIT_PATTERN.source})(?![ \\t]*:)`))) return 'unit';
  const word = stream.match(WORD) as RegExpMatchArray | null;
  if (word) {
    if (stream.match(/^\s*:/, false)) return 'propertyName';
    return keywordOf.has(word[0]) ? 'keyword' : 'variableName';
  }
  stream.next();
  return 'operator';
}

const style = HighlightStyle.define([
  { tag: tags.comment, color: 'var(--faint)' },
  { tag: tags.string, color: 'var(--text)' },
  { tag: [tags.number, tags.unit], color: 'var(--number)' },
  { tag: tags.keyword, color: 'var(--keyword)' },
  { tag: tags.propertyName, color: 'var(--name)' },
]);

/** The language and its colours. */
export const planLanguage: Extension = [language, syntaxHighlighting(style)];
