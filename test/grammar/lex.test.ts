import { describe, expect, it } from 'vitest';
import { lex, maximumDepth } from '../../grammar/lex.js';

const kinds = (text: string): string[] => lex(text).tokens.map(({ tokenType }) => tokenType.name);
const images = (text: string): string[] => lex(text).tokens.map(({ image }) => image);
const codes = (text: string): string[] => lex(text).problems.map(({ code }) => code);

describe('numbers and units', () => {
  it('reads digits, underscores, fractions and exponents', () => {
    expect(images('1_000 0.8 1e-6 2.5E3')).toEqual(['1_000', '0.8', '1e-6', '2.5E3']);
  });
  it('reads a range between whole numbers, and a fraction where a digit follows the dot', () => {
    expect(kinds('0..3 0.3')).toEqual(['Number', 'Range', 'Number', 'Number']);
  });
  it('reads a word after a number as its unit, with or without a space', () => {
    for (const unit of ['GiB', 'GB/s', 'us', 'TFLOPS', 'tokens', 'requests', '%', 'tokens/s']) {
      expect(images(`24 ${unit}`)).toEqual(['24', unit]);
      expect(kinds(`24${unit}`)).toEqual(['Number', 'Unit']);
    }
  });
  it('reads a unit behind a comment on the same line', () => {
    for (const text of ['24 /* c */ GiB', '24/* a *//* * b */GiB'])
      expect(kinds(text)).toEqual(['Number', 'Unit']);
    for (const text of ['24 /* c\n */ GiB', '24 // c\nGiB', '24 /* c */ gib /* d */: 1'])
      expect(kinds(text)).not.toContain('Unit');
  });
  it('reads no unit across a line end', () => {
    expect(kinds('layers: 80\nhidden: 8')).toEqual(
      ['Identifier', 'Colon', 'Number', 'NewLine', 'Identifier', 'Colon', 'Number'], // prettier-ignore
    );
  });
  it('takes a keyword after a number for a keyword', () => {
    expect(kinds('4 in')).toEqual(['Number', 'In']);
    expect(kinds('0 or')).toEqual(['Number', 'Or']);
    expect(kinds('4 for')).toEqual(['Number', 'For']);
  });
  it('takes a word before a colon for a name', () => {
    expect(kinds('1 b: 2')).toEqual(['Number', 'Identifier', 'Colon', 'Number']);
  });
  it('divides a quantity by a number', () => {
    expect(images('100 GB/2')).toEqual(['100', 'GB', '/', '2']);
  });
});

describe('line ends', () => {
  it('separate members', () => {
    expect(kinds('a\nb')).toEqual(['Identifier', 'NewLine', 'Identifier']);
  });
  it('do not separate inside brackets, around operators, or before an opening brace', () => {
    for (const text of [
      '[1,\n2\n]',
      'a +\nb',
      'a\n+ b',
      'a\n-> b',
      'a ->\nb',
      'kv\n{\n}',
      'a\nor b',
      'a:\nb',
    ]) {
      expect(kinds(text)).not.toContain('NewLine');
    }
  });
  it('separate a half-typed property from the next', () => {
    expect(kinds('page:\ntiers: gpu')[2]).toBe('NewLine');
    expect(kinds('page:\nstage decode {')[2]).toBe('NewLine');
  });
  it('separate before a property that is called like a joining word', () => {
    expect(kinds('a\nfor: 3')).toContain('NewLine');
    expect(kinds('a\nfor b')).not.toContain('NewLine');
  });
  it('take no room', () => {
    const line = lex('ab\n\n  c').tokens[1]!;
    expect([line.startOffset, line.endOffset! + 1]).toEqual([2, 2]);
  });
});

describe('comments', () => {
  it('come apart by kind, with their spans', () => {
    const text = '/// doc\n// line\n/* block\n */ a //// rule';
    const { comments } = lex(text);
    expect(comments.map(({ kind }) => kind)).toEqual(['doc', 'line', 'block', 'line']);
    for (const comment of comments) {
      expect(text.slice(comment.span.start, comment.span.end)).toBe(comment.text);
    }
  });
  it('are no comments inside strings', () => {
    expect(lex('"http://x"').comments).toEqual([]);
  });
  it('that are never closed are one problem', () => {
    expect(codes('a /* b\nc')).toEqual(['FC0110']);
    expect(codes('/*/')).toEqual(['FC0110']);
    expect(codes('/**/')).toEqual([]);
  });
});

describe('problems of single tokens', () => {
  it('reports strings that are never closed, to the line end only', () => {
    expect(codes('a: "abc\nb: 3')).toEqual(['FC0109']);
    expect(codes('"a\\"')).toEqual(['FC0109']);
    expect(codes('"')).toEqual(['FC0109']);
  });
  it('reports unknown escapes', () => {
    expect(codes('"\\q"')).toEqual(['FC0111']);
    expect(codes('"\\n\\"\\\\\\u00e9"')).toEqual([]);
  });
  it('reports a run of stray characters once', () => {
    expect(codes('a ??? b')).toEqual(['FC0112']);
  });
  it('reports letters beyond ASCII once a name', () => {
    expect(codes('größe: 3')).toEqual(['FC0116']);
  });
  it('reports single quotes and semicolons, and reads on', () => {
    expect(codes("'a'; b")).toEqual(['FC0101', 'FC0112'].sort((a, b) => b.localeCompare(a)));
    expect(kinds("'a'; b")).toEqual(['String', 'Comma', 'Identifier']);
  });
  it('drops what is nested too deep, with one problem', () => {
    const text = '('.repeat(5000) + ')'.repeat(5000);
    expect(codes(text)).toEqual(['FC0115']);
    expect(kinds(text)).toHaveLength(2 * maximumDepth);
  });
});
