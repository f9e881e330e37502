/** The links that the axes of a stage's mesh run over, for the cost of changing layouts inside it. */
import type { MeshAxis } from '../ir/sharded.js';
import { coordsOf } from '../ir/sharding-algebra.js';
import type { Stage, Topology } from '../plan/plan.js';
import type { Routes } from '../plan/routes.js';
import type { AxisLink, LinkedMesh } from './layouts.js';

/** Between devices that nothing joins: any other way is better, and that none is there is reported elsewhere. */
const NO_LINK: AxisLink = { latency: 0, bandwidth: 1 };

/** For each axis the narrowest and the slowest of the links between neighbours in its rings. */
export function linkedMesh({ devices: topologyDevices }: Topology, stage: Stage, routes: Routes): LinkedMesh {
  const { mesh, devices } = stage;
  const path = (rank: number): string => topologyDevices[devices[rank]!]!.path;
  const strides = { tp: 1, pp: mesh.tp, dp: mesh.tp * mesh.pp };
  const linkOf = (axis: MeshAxis): AxisLink =>
    devices.reduce<AxisLink>(
      (slowest, _, rank) => {
        const at = coordsOf(mesh, rank)[axis];
        const neighbour = rank + (((at + 1) % mesh[axis]) - at) * strides[axis];
        if (neighbour === rank) return slowest;
        const { latency, bandwidth } = routes.find(path(rank), path(neighbour)) ?? NO_LINK;
        return {
          latency: Math.max(slowest.latency, latency),
          bandwidth: Math.min(slowest.bandwidth, bandwidth),
        };
      },
      { latency: 0, bandwidth: Infinity },
    );
  return { mesh, links: { dp: linkOf('dp'), pp: linkOf('pp'), tp: linkOf('tp') } };
}
