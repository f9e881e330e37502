import { describe, expect, it } from 'vitest';
import { secondsBetweenHosts, type HostShares } from '../../../compiler/planner/between-hosts.js';
import type { Routes } from '../../../compiler/plan/routes.js';

/** Hosts with a link of 10 bytes per second between any two, and how often one was looked up. */
function countedRoutes(): { readonly routes: Routes; readonly asked: () => number } {
  let asked = 0;
  const find: Routes['find'] = () => {
    asked++;
    return { hops: [], bandwidth: 10, latency: 0 };
  };
  return { routes: { find }, asked: () => asked };
}

describe('secondsBetweenHosts', () => {
  it('are those of the lane that has most to carry, a little short', () => {
    const { routes } = countedRoutes();
    const from: HostShares = { hosts: ['a', 'b'], shares: [0.25, 0.75] };
    // Out of `b` goes all that it has.
    expect(secondsBetweenHosts(from, { hosts: ['c', 'd'], shares: [0.5, 0.5] }, 100, routes)).toBeCloseTo(
      7.5 * 0.98,
    );
    // And into `c` what both have.
    expect(secondsBetweenHosts(from, { hosts: ['c'], shares: [1] }, 100, routes)).toBeCloseTo(10 * 0.98);
    // What is there already stays.
    expect(secondsBetweenHosts(from, { hosts: ['b'], shares: [1] }, 100, routes)).toBeCloseTo(2.5 * 0.98);
    const alone = { hosts: ['a'], shares: [1] };
    expect(secondsBetweenHosts(alone, { hosts: ['a'], shares: [1] }, 100, routes)).toBe(0);
  });

  it('look each road up once for all meshes over the same devices', () => {
    const { routes, asked } = countedRoutes();
    const hosts = [...'abcd'];
    const others = [...'efgh'];
    for (const share of [0.1, 0.25])
      for (const taken of [0.2, 0.25]) {
        const [from, to] = [hosts.map(() => share), others.map(() => taken)];
        secondsBetweenHosts({ hosts, shares: from }, { hosts: others, shares: to }, 100, routes);
      }
    expect(asked()).toBe(16);
  });
});
