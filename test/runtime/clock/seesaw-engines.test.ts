/** What the benchmark of Seesaw varies of its machines. */
import { describe, expect, it } from 'vitest';
import { opposedCorners, variations, type Variation } from '../../../bench/support/seesaw-engines.js';
import { checkFile } from '../../../compiler/check/check-file.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { fileHost } from '../../../runtime/file-host.js';

const planOf = (machine: string, model = 'm70b'): Plan =>
  checkFile(fileHost(), `plans/seesaw/${machine}.plan`).plans.find(({ name }) => name === model)!;
const named = (all: readonly Variation[], name: string): Plan => all.find((each) => each.name === name)!.plan;
const peers = ({ topology }: Plan): Plan['topology']['links'][number] =>
  topology.links.find(({ from, to }) => from === to)!;
const gemm = ({ topology }: Plan): Readonly<Record<number, number>> => topology.devices[0]!.kind.gemm!;

describe('variations of the machines of Seesaw', () => {
  it.each(['l4', 'a10', 'a100'])('have the latency of all-reduce on %s', (machine) => {
    const plan = planOf(machine);
    const declared = peers(plan).allreduceLatency!;
    expect(Object.keys(declared)).toEqual(['2', '4', '8']);
    expect(peers(named(variations(plan), 'all-reduce latency x2')).allreduceLatency![4]).toBe(
      declared[4]! * 2,
    );
  });

  it.each(['l4', 'a10', 'a100'])('scale no products that memory limits on %s', (machine) => {
    const plan = planOf(machine);
    const [slow, quick] = [0.8, 1.2].map((factor) =>
      gemm(named(variations(plan), `sustained compute x${factor}`)),
    );
    const before = gemm(plan);
    // Nothing does more than its peak.
    const most = Math.min(1.2, 1 / plan.topology.devices[0]!.kind.sustained.compute);
    for (const rows of [256, 512, 1024, 2048]) {
      expect(slow![rows]).toBeCloseTo(before[rows]! * 0.8);
      expect(quick![rows]).toBeCloseTo(before[rows]! * most);
    }
    expect(slow![64]).toBe(before[64]);
    expect(quick![64]).toBe(before[64]);
    expect(quick![128]).toBe(before[128]);
    expect(slow![128]).toBe(Math.min(before[128]!, slow![256]!));
  });

  it('have less memory for KV', () => {
    const { memoryUse } = named(variations(planOf('l4')), 'memory less 1.8 GB');
    expect(memoryUse * 24e9).toBeCloseTo(0.9 * 24e9 - 1.8e9);
  });

  it('oppose the groups of two plans', () => {
    const plan = planOf('l4');
    const [against, towards] = opposedCorners(plan, [4, 4], [1, 8]);
    expect([against!.name, towards!.name]).toEqual([
      'all-reduce over 8 x0.5, over 2 and 4 x2',
      'all-reduce over 8 x2, over 2 and 4 x0.5',
    ]);
    const before = peers(plan).allreduce;
    expect(peers(against!.plan).allreduce).toEqual({
      2: before[2]! * 2,
      4: before[4]! * 2,
      8: before[8]! * 0.5,
    });
    expect(peers(towards!.plan).allreduce).toEqual({
      2: before[2]! * 0.5,
      4: before[4]! * 0.5,
      8: before[8]! * 2,
    });
  });

  it('leave groups that both plans have as they are', () => {
    const [against] = opposedCorners(planOf('l4', 'm15b'), [2, 2], [2, 4]);
    expect(against!.name).toBe('all-reduce over 4 x0.5');
    const [other] = opposedCorners(planOf('l4', 'm15b'), [2, 2], [1, 2]);
    expect(other!.name).toBe('all-reduce over 4 x2');
  });
});
