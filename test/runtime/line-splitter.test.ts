import { expect, it } from 'vitest';
import { createLineSplitter, TOO_LONG } from '../../runtime/line-splitter.js';

/** The lines of a text that comes in pieces of so many bytes. */
function split(text: string, piece: number, most = 100): string[] {
  const splitter = createLineSplitter(most);
  const bytes = Buffer.from(text, 'latin1');
  const chunks = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, i) =>
    bytes.subarray(i * piece, (i + 1) * piece),
  );
  const lines = [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()];
  return lines.map((line) => (line === TOO_LONG ? '<too long>' : line.toString('latin1')));
}

it('ends lines in a line feed, a return or both, wherever the pieces end', () => {
  const text = '\nab\r\n\r\n\rcd\n\r\n\ref\r';
  const lines = text.split(/\r\n|\r|\n/).slice(0, -1);
  expect(lines).toEqual(['', 'ab', '', '', 'cd', '', '', 'ef']);
  for (let piece = 1; piece <= text.length; piece++) {
    expect(split(text, piece), `pieces of ${piece}`).toEqual(lines);
    expect(split(`${text}last`, piece), `pieces of ${piece}`).toEqual([...lines, 'last']);
  }
  expect(split('', 1)).toEqual([]);
});

it('drops a line that is too long, and goes on behind its end', () => {
  const text = `four\n${'x'.repeat(30)}\r\n12345\nlast\n${'y'.repeat(6)}`;
  for (let piece = 1; piece <= text.length; piece++)
    expect(split(text, piece, 5), `pieces of ${piece}`).toEqual([
      'four',
      '<too long>',
      '12345',
      'last',
      '<too long>',
    ]);
});

it('says at once that a line is too long, and holds nothing of it', () => {
  const splitter = createLineSplitter(5);
  expect(splitter.push(Buffer.from('12345'))).toEqual([]);
  expect(splitter.push(Buffer.from('6'))).toEqual([TOO_LONG]);
  expect(splitter.push(Buffer.from('7'))).toEqual([]);
  expect(splitter.end()).toEqual([]);
});
