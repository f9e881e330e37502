/** Where sequences decode whose pages lie with one of several hosts. */
import { describe, expect, it } from 'vitest';
import type { SchedulerConfig } from '../../../runtime/scheduler/types.js';
import { seededRandom } from '../../fixtures/random.js';
import { configOf, type ConfigOptions, type PlanKind } from './configs.js';
import { createDriver } from './driver.js';
import type { Work } from './tracks.js';

const OPTIONS: ConfigOptions = {
  prefillDp: 4,
  decodeDp: 4,
  hosts: 4,
  batchRequests: 12,
  prefillPages: 40,
  decodePages: 24,
  hostPages: 60,
};

/** Carries requests through in some order, and says which replicas put out and took in the pages of each. */
function handedOver(
  config: SchedulerConfig,
): readonly { readonly sequence: number; readonly from: number; readonly to: number }[] {
  const driver = createDriver(config);
  const random = seededRandom(7);
  for (let id = 0; id < 120; id++)
    driver.arrive({
      id,
      promptTokens: 4 + random.below(20),
      maxNewTokens: 8,
      outputTokens: 1 + random.below(8),
    });
  driver.drain((count) => random.below(count));
  const replicasOf = (kind: 'page_out' | 'page_in'): ReadonlyMap<number, number> =>
    new Map(
      driver.log
        .filter((each): each is Extract<Work, { kind: 'page_in' }> => each.kind === kind)
        .map(({ sequence, replica }) => [sequence, replica]),
    );
  const [out, into] = [replicasOf('page_out'), replicasOf('page_in')];
  return [...into].map(([sequence, to]) => ({ sequence, from: out.get(sequence)!, to }));
}

const partWithin = (handed: ReturnType<typeof handedOver>): number =>
  handed.filter(({ from, to }) => from === to).length / handed.length;

describe('several hosts', () => {
  it.each<PlanKind>(['resharded', 'disaggregated'])(
    'keep the KV of nearly all sequences beside them, %s',
    (kind) => {
      const handed = handedOver(configOf(kind, OPTIONS));
      expect(handed.length).toBeGreaterThan(80);
      expect(partWithin(handed)).toBeGreaterThan(0.7);
      // Without them any replica is as good as another.
      const anywhere = handedOver(configOf(kind, { ...OPTIONS, hosts: undefined }));
      expect(partWithin(anywhere)).toBeLessThan(0.5);
    },
  );

  it('let none overtake what crosses a link wherever it goes', () => {
    // Of two hosts with prefill one has the replica that decodes.
    const few: ConfigOptions = { ...OPTIONS, prefillDp: 2, decodeDp: 1, hosts: 2, batchRequests: 3 };
    const overtaking = (hosts: number | undefined): number => {
      const order = handedOver(configOf('disaggregated', { ...few, hosts })).map(({ sequence }) => sequence);
      const counts = order.map((each, at) => order.slice(0, at).filter((other) => other > each).length);
      return Math.max(...counts);
    };
    expect(overtaking(2)).toBe(overtaking(undefined));
  });

  it('hand over to others where some would have most of the work', () => {
    // All prompts are prefilled beside one of two hosts, of which each has two replicas that decode.
    const config = configOf('disaggregated', { ...OPTIONS, prefillDp: 1, decodeDp: 4, hosts: 2 });
    const handed = handedOver(config);
    const counts = [0, 1, 2, 3].map((replica) => handed.filter(({ to }) => to === replica).length);
    expect(Math.min(...counts)).toBeGreaterThan(handed.length / 12);
    expect(counts[0]! + counts[2]!).toBeGreaterThan(counts[1]! + counts[3]!);
  });
});
