/** The TextMate grammar against the lexer: what one calls a number, a keyword or a comment, so does the other. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import oniguruma from 'vscode-oniguruma';
import textmate from 'vscode-textmate';
import { beforeAll, describe, expect, it } from 'vitest';
import { textmateGrammar } from '../../editor/textmate/grammar.js';
import type { IToken } from 'chevrotain';
import { lex } from '../../grammar/lex.js';
import { Colon, isName, keywordOf, NewLine, NumberToken, StringToken, Unit } from '../../grammar/tokens.js';

const COMMITTED = 'editor/vscode/syntaxes/plan.tmLanguage.json';

const corpus = readdirSync('plans', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.plan'))
  .map((name) => join('plans', name))
  .concat('test/grammar/golden/everything.plan');

let grammar: textmate.IGrammar;

beforeAll(async () => {
  const wasm = createRequire(import.meta.url).resolve('vscode-oniguruma/release/onig.wasm');
  await oniguruma.loadWASM(new Uint8Array(readFileSync(wasm)).buffer);
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (sources) => new oniguruma.OnigScanner(sources),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: () =>
      Promise.resolve(textmate.parseRawGrammar(JSON.stringify(textmateGrammar()), 'plan.json')),
  });
  grammar = (await registry.loadGrammar('source.plan'))!;
});

/** Scopes of every character of a text, innermost last, as one word; line ends have none. */
function scopesOf(text: string): readonly string[] {
  const scopes: string[] = [];
  let state = textmate.INITIAL;
  for (const line of text.split('\n')) {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, state);
    state = ruleStack;
    for (const { startIndex, endIndex, scopes: names } of tokens)
      for (let at = startIndex; at < Math.min(endIndex, line.length); at++) scopes.push(names.join(' '));
    scopes.push('');
  }
  return scopes;
}

/** Scope that a token must have, given what stands around it. */
function expectedScope(tokens: readonly IToken[], index: number): RegExp {
  const token = tokens[index]!;
  const isKeyword = keywordOf.has(token.image);
  if (token.tokenType === NumberToken) return /constant\.numeric/;
  if (token.tokenType === Unit) return /keyword\.other\.unit/;
  if (token.tokenType === StringToken) return /string\.quoted/;
  if (!isName(token)) return /keyword\.operator|punctuation/;
  if (tokens[index + 1]?.tokenType === Colon) return /variable\.other\.property|entity\.name/;
  if (isKeyword) return /keyword\.(declaration|operator\.word)|entity\.name/;
  return /^source\.plan( entity\.name\.type\.plan| constant\.language\.plan)?$/;
}

describe('the TextMate grammar', () => {
  it('is the one that was written for editors', () => {
    expect(JSON.parse(readFileSync(COMMITTED, 'utf8'))).toEqual(textmateGrammar());
  });

  it.each(corpus)('sees in %s what the lexer sees', (file) => {
    const text = readFileSync(file, 'utf8');
    const scopes = scopesOf(text);
    const { tokens: all, comments } = lex(text);
    const tokens = all.filter((token) => token.tokenType !== NewLine);
    const wrong: string[] = [];
    tokens.forEach((token, index) => {
      const expected = expectedScope(tokens, index);
      for (let at = token.startOffset; at <= token.endOffset!; at++)
        if (!expected.test(scopes[at]!))
          wrong.push(`${token.startLine} \`${token.image}\` is ${scopes[at]}, not ${expected}`);
    });
    for (const { kind, span } of comments) {
      const expected = { doc: 'documentation', line: 'double-slash', block: 'block' }[kind];
      for (let at = span.start; at < span.end; at++)
        if (
          text[at] !== '\n' &&
          !scopes[at]!.includes(`comment.${kind === 'block' ? '' : 'line.'}${expected}`)
        )
          wrong.push(`comment at ${at} is ${scopes[at]}`);
    }
    expect(wrong).toEqual([]);
    expect(tokens.length).toBeGreaterThan(20);
  });

  it('knows names from keywords, units from names, and marks bad escapes', () => {
    const innermost = (text: string, word: string): string =>
      scopesOf(text)[text.indexOf(word)]!.split(' ').at(-1)!;
    expect(innermost('plan mesh for m on t {', 'mesh')).toBe('entity.name.type.plan');
    expect(innermost('mesh: 3', 'mesh')).toBe('variable.other.property.plan');
    expect(innermost('mesh (tp: 4)', 'mesh')).toBe('keyword.declaration.plan');
    expect(innermost('param n: int = 4 in [1]', 'in [')).toBe('keyword.operator.word.plan');
    expect(innermost('a: 1 b: 2', 'b')).toBe('variable.other.property.plan');
    expect(innermost('a: 1 GB/s', 'GB/s')).toBe('keyword.other.unit.plan');
    expect(innermost('gpu[0..3]', '..')).toBe('keyword.operator.range.plan');
    expect(innermost('stage serve: prefill', 'serve')).toBe('entity.name.type.plan');
    expect(innermost('path: "a\\q"', '\\q')).toBe('invalid.illegal.escape.plan');
  });
});
