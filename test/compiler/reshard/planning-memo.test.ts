/** What groups of devices have in common: roads inside nodes that are alike are those that each has by itself. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Topology } from '../../../compiler/plan/plan.js';
import { planningMemo, type GroupRoads } from '../../../compiler/reshard/planning-memo.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { weightSources } from '../../../compiler/reshard/weight-source.js';
import { makeMachine, type MachineOptions } from '../support/arbitrary-placement.js';

/** Devices that hold something before and after. */
type Group = readonly [from: readonly number[], to: readonly number[]];

function roadsOfGroups(machine: Topology, groups: readonly Group[]): readonly GroupRoads[] {
  const roads = roadsOf(machine);
  const memo = planningMemo(() => 1, roads);
  const origin = weightSources(roads, { modelBytes: 1000, kvBytes: 0 });
  return groups.map(([from, to]) => memo.groupRoads(from, to, origin));
}

/** The same machine with links that name the nodes they are in: none of these passes for another. */
function namingNodes(machine: Topology): Topology {
  return {
    ...machine,
    links: machine.links.map((link) => (link.scope === '' ? link : { ...link, scope: 'node[0..1]' })),
  };
}

/** Which of some groups are alike. */
function likenesses(roads: readonly GroupRoads[]): readonly number[] {
  return roads.map(({ likeness }) => roads.findIndex((other) => other.likeness === likeness));
}

const options: fc.Arbitrary<MachineOptions> = fc.record({
  peer: fc.constantFrom(5, 20, 90),
  host: fc.constantFrom(10, 20),
  nodes: fc.constantFrom(8, 40),
  disk: fc.boolean(),
  latency: fc.constantFrom(0, 0.5),
});

/** Some devices of one node, or of both. */
const members = fc
  .constantFrom<number[]>([0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7])
  .chain((devices) => {
    const some = fc.shuffledSubarray(devices, { minLength: 1, maxLength: 4 });
    return fc.tuple(some, some);
  });

describe('roads of groups', () => {
  it('inside a node are those that are found without looking at others', () => {
    let alike = 0;
    fc.assert(
      fc.property(options, fc.array(members, { minLength: 1, maxLength: 6 }), (made, some) => {
        // Each is also in the other node, at the same places.
        const moved = some.map((group): Group => {
          const [from, to] = group.map((devices) => devices.map((device) => (device + 4) % 8));
          return [from!, to!];
        });
        const groups: readonly Group[] = [...some, ...moved];
        const machine = makeMachine(made);
        const shared = roadsOfGroups(machine, groups);
        const alone = roadsOfGroups(namingNodes(machine), groups);
        expect(shared.map(({ lanes }) => lanes)).toEqual(alone.map(({ lanes }) => lanes));
        expect(likenesses(shared)).toEqual(likenesses(alone));
        alike += likenesses(shared).filter((first, index) => first < index).length;
      }),
      { numRuns: 100 },
    );
    expect(alike).toBeGreaterThan(100);
  });

  it('are built in one of the nodes that are alike', () => {
    const lanesBuilt = (machine: Topology): number => {
      const roads = roadsOf(machine);
      const memo = planningMemo(() => 1, roads);
      const origin = weightSources(roads, { modelBytes: 1000, kvBytes: 0 });
      for (const node of [0, 4]) {
        const devices = [0, 1, 2, 3].map((place) => node + place);
        memo.groupRoads(devices, devices, origin);
      }
      return roads.lanes.length;
    };
    const machine = makeMachine({ peer: 90, host: 10, nodes: 8 });
    const all = lanesBuilt(namingNodes(machine));
    expect(lanesBuilt(machine)).toBe(all / 2);
    const tiers = machine.tiers.map((tier, index) => (index === 0 ? { ...tier, capacity: 2 ** 39 } : tier));
    expect(lanesBuilt({ ...machine, tiers })).toBe(all);
  });
});
