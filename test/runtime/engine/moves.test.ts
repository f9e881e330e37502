/** What an engine says of a move that fails, as statistics and traces are read after it. */
import { describe, expect, it } from 'vitest';
import type { EngineParts } from '../../../runtime/engine/parts.js';
import type { Prepared } from '../../../runtime/engine/prepare.js';
import { moveDiskPages, switchStage } from '../../../runtime/engine/moves.js';
import { createTally } from '../../../runtime/engine/tally.js';
import { NO_SLICE } from '../../../runtime/trace/tracer.js';

/** Parts of an engine over what is prepared, and the arguments that each slice has ended with. */
function partsOver(prepared: Partial<Prepared>): { parts: EngineParts; ended: unknown[] } {
  const ended: unknown[] = [];
  const slice = { ...NO_SLICE, end: (args: unknown) => void ended.push(args) };
  const parts = {
    graph: { stages: [], transitions: [], diskTier: {} },
    prepared,
    tally: createTally(),
    transitions: 'dataflow',
    tracer: { begin: () => slice, counter: () => undefined },
  } as unknown as EngineParts;
  return { parts, ended };
}

const change = { kind: 'switch', id: 0, group: 'g', from: 'prefill', to: 'decode' } as const;
const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

describe('switchStage', () => {
  it('counts its seconds, bytes and times', async () => {
    const { parts, ended } = partsOver({ switchTo: () => later().then(() => 64) });
    await switchStage(change, parts);
    expect(ended).toEqual([{ bytes: 64 }]);
    const { transitions, bytes, clocks } = parts.tally;
    expect({ transitions, weights: bytes.weights }).toEqual({ transitions: 1, weights: 64 });
    expect(clocks.transition.seconds()).toBeGreaterThan(0);
  });

  it('counts no more seconds once it has failed, and no transition', async () => {
    const fail = (): Promise<never> => later().then(() => Promise.reject(new Error('lost')));
    const { parts, ended } = partsOver({ switchTo: fail });
    await expect(switchStage(change, parts)).rejects.toThrow('lost');
    expect(ended).toEqual([undefined]);
    const { transitions, bytes, clocks } = parts.tally;
    expect({ transitions, weights: bytes.weights }).toEqual({ transitions: 0, weights: 0 });
    const seconds = clocks.transition.seconds();
    expect(seconds).toBeGreaterThan(0);
    await later();
    expect(clocks.transition.seconds()).toBe(seconds);
  });
});

it('ends the slice of a disk move that fails', async () => {
  const disk = { spill: () => Promise.reject(new Error('full')) } as unknown as Prepared['disk'];
  const { parts, ended } = partsOver({ disk });
  const pages = { hostPages: [1], diskPages: [2], positions: [0] };
  const spill = { kind: 'spill', id: 0, sequence: 0, ...pages } as const;
  await expect(moveDiskPages(spill, parts)).rejects.toThrow('full');
  expect(ended).toHaveLength(1);
});
