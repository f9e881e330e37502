import { describe, expect, it } from 'vitest';
import {
  encodeHeader,
  encodeRecord,
  identityDifferences,
  parseJournal,
  type FinishedRequest,
  type Journal,
} from '../../../runtime/jobs/journal-format.js';

const request = (line: number, end: number): FinishedRequest => ({
  line,
  end,
  request: `d${line}`,
  crc: 7,
  promptTokens: 3,
  completionTokens: 4,
});
const run = { run: { pid: 1, host: 'here', started: '9' } };
const header = encodeHeader({ requests: 'x' });
const whole = [
  header,
  encodeRecord(run),
  encodeRecord({ finished: [request(2, 10), request(1, 25)] }),
  encodeRecord({ finished: [{ ...request(3, 40), error: 'invalid_json' }] }),
];

function journalOf(text: string | Uint8Array): Journal {
  const parsed = parseJournal(Buffer.from(text));
  if (parsed.problem !== undefined) throw new Error(parsed.problem);
  return parsed.journal;
}

function problemOf(text: string): string | undefined {
  return parseJournal(Buffer.from(text)).problem;
}

describe('a journal', () => {
  it('reads back what was written', () => {
    const text = whole.join('');
    expect(journalOf(text)).toEqual({
      batch: { requests: 'x' },
      finished: [request(2, 10), request(1, 25), { ...request(3, 40), error: 'invalid_json' }],
      resultBytes: 40,
      owner: run.run,
      complete: false,
      bytes: text.length,
    });
    expect(journalOf(header)).toMatchObject({ finished: [], resultBytes: 0, complete: false });
    const ended = journalOf(text + encodeRecord({ ended: { complete: true } }));
    expect(ended).toMatchObject({ complete: true, resultBytes: 40 });
    expect(ended.owner).toBeUndefined();
  });

  it('leaves out a last record that was cut off anywhere, or written with holes', () => {
    const kept = whole.slice(0, 3).join('');
    const last = whole[3]!;
    for (let length = 0; length < last.length; length++) {
      expect(journalOf(kept + last.slice(0, length))).toMatchObject({ bytes: kept.length, resultBytes: 25 });
    }
    for (let at = 0; at < last.length; at++) {
      const holed = Buffer.from(kept + last);
      holed[kept.length + at] = 0;
      expect(journalOf(holed).bytes).toBe(kept.length);
    }
  });

  it('is refused when anything before the last record is damaged', () => {
    const text = whole.join('');
    for (let at = header.length; at < text.length - whole[3]!.length; at++) {
      // Without the line end between them, two records are one damaged last one.
      if (text[at] === '\n') continue;
      const damaged = `${text.slice(0, at)}\u0001${text.slice(at + 1)}`;
      expect(problemOf(damaged)).toMatch(/damaged at byte \d+/);
    }
  });

  it('is refused without its header, of another version, or with records that contradict each other', () => {
    expect(problemOf('')).toMatch('does not begin with the header');
    expect(problemOf(header.slice(0, -1))).toMatch('does not begin with the header');
    expect(problemOf(encodeRecord(run))).toMatch('does not begin with the header');
    expect(problemOf(`${whole.join('')}${encodeRecord({ finished: [request(3, 60)] })}`)).toMatch(
      'contradicts',
    );
    expect(problemOf(`${whole.join('')}${encodeRecord({ finished: [request(4, 40)] })}`)).toMatch(
      'contradicts',
    );
    // A record of a later version, and a header of one: encoded by hand, with true checksums.
    const later = '{"format":"fulcrum-journal","version":2,"batch":{}}';
    expect(problemOf(`8b4ac035 ${later}\n`)).toMatch('of version 2');
  });
});

describe('identities', () => {
  it('names what differs, also where one side lacks it', () => {
    expect(identityDifferences({ a: '1', b: '2' }, { b: '3', c: '4' })).toEqual([
      { name: 'a', before: '1', now: 'absent' },
      { name: 'b', before: '2', now: '3' },
      { name: 'c', before: 'absent', now: '4' },
    ]);
    expect(identityDifferences({ a: '1' }, { a: '1' })).toEqual([]);
  });
});
