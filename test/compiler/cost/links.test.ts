import { describe, expect, it } from 'vitest';
import { allGatherCost, allReduceCost, linkSeconds, sendCost } from '../../../compiler/cost/links.js';
import type { Topology } from '../../../compiler/plan/plan.js';
import { routesOf } from '../../../compiler/plan/routes.js';
import { makePlan } from '../support/make-plan.js';

function routes(allreduce: Readonly<Record<number, number>> = {}) {
  const { topology } = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }], peerBandwidth: 8e9 });
  const links = topology.links.map((link) => ({ ...link, allreduce }));
  return routesOf({ ...topology, links } satisfies Topology);
}
const group = (ranks: number): string[] => Array.from({ length: ranks }, (_, id) => `gpu[${id}]`);

describe('allReduceCost', () => {
  it('takes the declared bandwidth of the group size, or of the next larger', () => {
    const declared = routes({ 2: 18e9, 4: 4.2e9 });
    expect(allReduceCost(declared, group(2))).toEqual({ latency: 1e-5, bandwidth: 18e9, declared: true });
    expect(allReduceCost(declared, group(3))?.bandwidth).toBe(4.2e9);
    expect(allReduceCost(declared, group(4))?.bandwidth).toBe(4.2e9);
  });

  it('takes the declared latency of the group size beside a declared bandwidth, and in place of that of a ring', () => {
    const { topology } = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }], peerBandwidth: 8e9 });
    const withLatency = (allreduce: Readonly<Record<number, number>>) =>
      routesOf({
        ...topology,
        links: topology.links.map((link) => ({
          ...link,
          allreduce,
          allreduceLatency: { 2: 9e-5, 4: 18e-5 },
        })),
      });
    expect(allReduceCost(withLatency({ 4: 4.2e9 }), group(2))).toMatchObject({ latency: 9e-5 });
    expect(allReduceCost(withLatency({ 4: 4.2e9 }), group(3))).toMatchObject({ latency: 18e-5 });
    expect(allReduceCost(withLatency({}), group(4))).toEqual({ latency: 18e-5, bandwidth: (8e9 * 4) / 6 });
    expect(sendCost(withLatency({ 4: 4.2e9 }), 'gpu[0]', 'gpu[1]')?.latency).toBe(1e-5);
  });

  it('is a ring where nothing is declared: 2 (n - 1) / n of the bytes in 2 (n - 1) steps', () => {
    const cost = allReduceCost(routes(), group(4))!;
    expect(cost.latency).toBeCloseTo(6e-5);
    expect(linkSeconds(cost, 16e6)).toBeCloseTo(6e-5 + (16e6 * 6) / 4 / 8e9);
  });

  it('is twice an all-gather: (n - 1) / n of the bytes in n - 1 steps', () => {
    const cost = allGatherCost(allReduceCost(routes(), group(4))!);
    expect(linkSeconds(cost, 16e6)).toBeCloseTo(3e-5 + (16e6 * 3) / 4 / 8e9);
  });

  it('lends an all-gather half of its latency, unless that is declared', () => {
    const { topology } = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });
    const links = topology.links.map((link) => ({ ...link, allreduceLatency: { 2: 9e-5, 4: 18e-5 } }));
    const latency = (declared: Readonly<Record<number, number>>, ranks: number): number => {
      const own = links.map((link) => ({ ...link, allgatherLatency: declared }));
      return allGatherCost(allReduceCost(routesOf({ ...topology, links: own }), group(ranks))!).latency;
    };
    expect(latency({}, 4)).toBe(9e-5);
    expect(latency({ 2: 8e-5, 4: 16e-5 }, 2)).toBe(8e-5);
    expect(latency({ 2: 8e-5, 4: 16e-5 }, 3)).toBe(16e-5);
  });

  it('costs one rank nothing', () => {
    expect(linkSeconds(allReduceCost(routes(), group(1))!, 1e9)).toBe(0);
  });
});

it('sends over the route between two devices', () => {
  expect(sendCost(routes(), 'gpu[0]', 'gpu[3]')).toEqual({ latency: 1e-5, bandwidth: 8e9 });
  expect(sendCost(routes(), 'gpu[0]', 'gpu[9]')).toBeUndefined();
});
