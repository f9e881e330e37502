/** The figures that `run` and `demo` print when they end. */
import { describe, expect, it } from 'vitest';
import { reportOutcome } from '../../cli/run-plan.js';
import { runFigures } from '../../cli/run-report.js';
import type { Terminal } from '../../cli/terminal.js';
import type { EngineStats } from '../../runtime/engine/types.js';
import { NOT_BEGUN, type BatchSummary } from '../../runtime/jobs/run-batch.js';
import { fakeEngine } from '../fixtures/fake-engine.js';

const idle = fakeEngine(() => []).stats();

/** What is said under a name, by a run with these figures; undefined where the line is left out. */
function said(name: string, stats: Partial<EngineStats>): string | undefined {
  const rows = runFigures({ stats: { ...idle, ...stats }, seconds: 2 });
  return rows.find(([row]) => row === name)?.[1];
}

describe('the outcome of a run', () => {
  const outcome = (summary: Partial<BatchSummary>): string => {
    let text = '';
    const terminal: Terminal = {
      writeOut: () => undefined,
      writeErr: (piece) => (text += piece),
      colour: false,
      interactive: false,
      columns: 80,
    };
    const whole = { ...NOT_BEGUN, interrupted: false, ...summary };
    reportOutcome(
      { summary: whole, stats: idle, seconds: 2, isIdle: false, lacksReport: false },
      'out',
      terminal,
    );
    return text;
  };

  it('asks what the file is where no line of it is a request', () => {
    const question = 'is this a file of one JSON object per line';
    expect(outcome({ failed: 3, errors: { invalid_json: 2, invalid_request: 1 } })).toContain(question);
    expect(outcome({ failed: 3, answered: 1, errors: { invalid_json: 3 } })).not.toContain(question);
    expect(outcome({ failed: 2, errors: { invalid_json: 1, FC0917: 1 } })).not.toContain(question);
    expect(outcome({ answered: 1 })).toBe('');
  });
});

describe('the figures of a run', () => {
  it('are always the same six without reuse and without trouble in the tiers', () => {
    const names = runFigures({ stats: idle, seconds: 2 }).map(([name]) => name);
    expect(names).toEqual(['prefill', 'decode', 'transitions', 'bytes moved', 'peak memory', 'total']);
  });

  it('say how many prompt tokens were found, what part that is, and where', () => {
    expect(
      said('prefix reuse', { promptTokens: 4000, reusedTokens: { device: 1000, host: 0, disk: 0 } }),
    ).toBe('1,000 of these tokens found (25.0%): 1,000 on the devices');
    expect(
      said('prefix reuse', { promptTokens: 4000, reusedTokens: { device: 20, host: 1400, disk: 80 } }),
    ).toBe('1,500 of these tokens found (37.5%): 20 on the devices, 1,400 in the host tier, 80 on disk');
    const copied = { promptTokens: 4000, reusedTokens: { device: 1000, host: 0, disk: 0 }, copiedPages: 12 };
    expect(said('prefix reuse', copied)).toMatch(/on the devices; 12 pages copied$/);
    expect(said('prefix reuse', { promptTokens: 4000 })).toBeUndefined();
  });

  it('say what became of KV that left the devices', () => {
    const tiers = { ...idle.tiers, swapped: 3, dropped: 2, failedSpills: 1, failedFetches: 4 };
    expect(said('KV tiers', { tiers: { ...tiers, passedOver: { host: 0, disk: 7 } } })).toBe(
      '3 sequences swapped out, 2 dropped and computed again, 1 not written to disk, ' +
        '4 not read from disk and computed again, the disk tier passed over, being slower than computing again',
    );
  });

  it('tell traffic of the disk tier only where there is any', () => {
    expect(said('bytes moved', {})).not.toContain('disk');
    const bytes = { ...idle.bytes, kvSpilled: 2 ** 20, kvFetched: 2 ** 21 };
    expect(said('bytes moved', { bytes })).toContain('KV to disk 1.00 MiB, KV from disk 2.00 MiB');
  });
});
