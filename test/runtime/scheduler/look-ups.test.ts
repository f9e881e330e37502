/** How often letting in a prompt goes through its pages: once for each lane, not for each thing that is asked of it. */
import { expect, it, vi } from 'vitest';
import { hostPagesNeeded } from '../../../runtime/scheduler/lanes.js';
import { createMachine } from '../../../runtime/scheduler/machine.js';
import type { Lane } from '../../../runtime/scheduler/machine.js';
import { devicePrefix } from '../../../runtime/scheduler/prefix.js';
import { createSequence } from '../../../runtime/scheduler/sequences.js';
import { configOf } from './configs.js';
import { createDriver } from './driver.js';
import { promptOf } from './families.js';

vi.mock('../../../runtime/scheduler/lanes.js', { spy: true });
vi.mock('../../../runtime/scheduler/prefix.js', { spy: true });

const LANES = 8;

it('looks at each lane once for a prompt, and at the host tier once for all of them', () => {
  const config = configOf('disaggregated', { prefillDp: LANES, diskPages: 64 });
  const driver = createDriver(config);
  driver.arrive({
    id: 0,
    promptTokens: 12,
    maxNewTokens: 3,
    outputTokens: 3,
    ...promptOf({ id: 0, promptTokens: 12, family: 'a', alike: 8 }, config.pageTokens),
  });
  vi.clearAllMocks();
  driver.poll();
  expect(vi.mocked(devicePrefix).mock.calls).toHaveLength(LANES);
  // For room in the tier, and to let it in.
  expect(vi.mocked(hostPagesNeeded).mock.calls).toHaveLength(2);
});

it('looks at a lane again only where something has changed that can be found there', () => {
  const machine = createMachine(configOf('disaggregated', { prefillDp: 2 }));
  const [lane, other] = machine.prefillers as [Lane, Lane];
  const arriving = { ...promptOf({ id: 0, promptTokens: 12, family: 'a', alike: 8 }, 4) };
  const sequence = createSequence({ id: 0, promptTokens: 12, maxNewTokens: 3, ...arriving }, 0);
  const find = vi.spyOn(lane.pool.pages, 'find');
  const before = devicePrefix(machine, lane, sequence);
  const asked = find.mock.calls.length;
  expect(asked).toBeGreaterThan(0);
  expect(devicePrefix(machine, lane, sequence)).toBe(before);
  expect(find.mock.calls).toHaveLength(asked);
  // What is published elsewhere cannot be found here.
  other.pool.pages.publish(other.pool.pages.take(1)![0]!, sequence.keys[0]!);
  expect(devicePrefix(machine, lane, sequence)).toBe(before);
  lane.pool.pages.publish(lane.pool.pages.take(1)![0]!, sequence.keys[0]!);
  expect(devicePrefix(machine, lane, sequence).pages).toEqual([0]);
});
