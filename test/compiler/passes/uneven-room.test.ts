/** Room for KV that unlike devices leave unused. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { unevenRooms } from '../../../compiler/passes/uneven-room.js';
import { makePlan } from '../support/make-plan.js';

/** What is said of a stage on devices of which the first has so many times the memory. */
function roomsWith(times: number, mesh: Parameters<typeof makePlan>[0]['stages'][number]['mesh']) {
  const plan = makePlan({ stages: [{ name: 'serve', mesh, batchRequests: 20_000 }] });
  const devices = plan.topology.devices.map((device) => ({
    ...device,
    kind: {
      ...device.kind,
      // No binding is to be what caps the pages.
      largestBinding: 2 ** 50,
      memory: device.kind.memory * (device.id === 0 ? times : 1),
    },
  }));
  const { runtime } = compilePlan({ ...plan, topology: { ...plan.topology, devices } });
  return { rooms: unevenRooms(runtime.pools, runtime.devices, 0.1), devices: runtime.devices };
}

describe('room for KV', () => {
  it.each([{ dp: 2 }, { tp: 2 }])('is that of the device with the least memory in a mesh of %j', (mesh) => {
    const { rooms, devices } = roomsWith(3, mesh);
    const [large] = devices;
    expect(rooms).toEqual([
      {
        pool: 'serve',
        full: devices[1]!.path,
        others: [{ id: 0, path: large!.path }],
        unused: large!.budget - large!.peak.total,
      },
    ]);
    expect(rooms[0]!.unused).toBeGreaterThan(large!.budget / 2);
  });

  it('is taken whole where devices are alike', () => {
    expect(roomsWith(1, { dp: 2 }).rooms).toEqual([]);
  });
});
