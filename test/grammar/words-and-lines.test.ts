import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, suggest } from '../../grammar/did-you-mean.js';
import { lineMap } from '../../grammar/line-map.js';

describe('edit distance', () => {
  it.each([
    ['', 'abc', 3],
    ['stge', 'stage', 1],
    ['flwo', 'flow', 1],
    ['kitten', 'sitting', 3],
    ['same', 'same', 0],
  ])('%s to %s is %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });
  it('is symmetric, and at most the longer length', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(editDistance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe('suggestions', () => {
  const items = ['stage', 'kv', 'flow', 'expect'];
  it.each([
    ['stge', 'stage'],
    ['Stage', 'stage'],
    ['epxetc', 'expect'],
    ['kvv', 'kv'],
    ['banana', undefined],
    ['x', undefined],
    ['', undefined],
  ])('%s: %s', (word, expected) => {
    expect(suggest(word, items)).toBe(expected);
  });
  it('takes the nearest, and the first of equals', () => {
    expect(suggest('tq', ['tier', 'tp', 'dp'])).toBe('tp');
    expect(suggest('xp', ['tp', 'dp'])).toBe('tp');
  });
});

describe('a line map', () => {
  const map = lineMap('ab\r\n\ncd\re');
  it('knows the lines, whatever ends them', () => {
    expect(map.lineCount).toBe(4);
    expect([1, 2, 3, 4, 5, 0].map(map.lineText)).toEqual(['ab', '', 'cd', 'e', '', '']);
  });
  it('counts from one', () => {
    expect(map.position(0)).toEqual({ line: 1, column: 1 });
    expect(map.position(5)).toEqual({ line: 3, column: 1 });
    expect(map.position(99)).toEqual({ line: 4, column: 2 });
    expect(map.position(-1)).toEqual({ line: 1, column: 1 });
  });
  it('counts no byte order mark', () => {
    const marked = lineMap('\uFEFFab\nc');
    expect([0, 1, 3].map((at) => marked.position(at).column)).toEqual([1, 1, 3]);
    expect(marked.position(4)).toEqual({ line: 2, column: 1 });
    expect(marked.offset({ line: 1, column: 2 })).toBe(2);
    expect(marked.lineText(1)).toBe('ab');
  });
  it('goes there and back', () => {
    const text = fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', '\r')).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, fc.nat(30), (written, at) => {
        const lines = lineMap(written);
        const end = Math.min(at, written.length);
        const offset = written.slice(end - 1, end + 1) === '\r\n' ? end - 1 : end;
        const { line, column } = lines.position(offset);
        expect(line).toBe(1 + (written.slice(0, offset).match(/\r\n|\n|\r(?!\n)/g) ?? []).length);
        if (column <= lines.lineText(line).length + 1) expect(lines.offset({ line, column })).toBe(offset);
      }),
    );
  });
});
