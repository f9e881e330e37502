import { expect, it } from 'vitest';
import { requestDigest } from '../../../runtime/jobs/batch-identity.js';
import { createIntake } from '../../../runtime/jobs/request-intake.js';
import { completionLine } from '../../fixtures/batch-lines.js';

const line = (number: number, id: string) => ({
  number,
  text: completionLine(id, { prompt: 'x' }),
});

const finished = (number: number, id: string) => ({
  line: number,
  request: requestDigest(line(number, id).text),
  promptTokens: 1,
  completionTokens: 1,
  end: 0,
  crc: 0,
});

it('passes over what an earlier run finished, whose names are taken all the same', () => {
  const intake = createIntake([finished(2, 'b')], 'results.jsonl');
  expect(intake.passesOver(line(1, 'a'))).toBe(false);
  expect(intake.parse(line(1, 'a')).customId).toBe('a');
  expect(intake.passesOver(line(2, 'b'))).toBe(true);
  expect(() => intake.parse(line(3, 'b'))).toThrow('line 2 has the custom_id "b" already');
  expect(() => intake.end()).not.toThrow();
});

it('refuses a file whose finished lines are others, or have gone', () => {
  const intake = createIntake([finished(2, 'b')], 'results.jsonl');
  const other = expect.objectContaining({ code: 'FC0931' });
  expect(() => intake.passesOver(line(2, 'c'))).toThrow(other);
  expect(() => intake.end()).toThrow(other);
});
