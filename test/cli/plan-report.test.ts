/** The report of a plan on machines and models so large that what takes every pair of their parts would not end. */
import { describe, expect, it } from 'vitest';
import { memoryTable, planReport } from '../../cli/plan-report.js';
import type { ProgramValue } from '../../compiler/ir/runtime-program.js';
import { compilePlan } from '../../compiler/compile.js';
import { makePlan } from '../compiler/support/make-plan.js';

/** Milliseconds: many times what it takes, and a small part of what every pair would. */
const SOON = { timeout: 5000 };

describe('a report', SOON, () => {
  const { runtime, transitions } = compilePlan(makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] }));

  it('has a row for devices with equal figures, however many', () => {
    const [device] = runtime.devices;
    const devices = Array.from({ length: 60_000 }, (_, id) => ({ ...device!, id, path: `gpu[${id}]` }));
    const rows = memoryTable(devices).trimEnd().split('\n');
    expect(rows).toHaveLength(2);
    expect(rows[1]).toContain('gpu[0] … gpu[59999]');
  });

  it('sums the traffic of a step up, however many its exchanges', () => {
    const [stage] = runtime.stages;
    const [program] = stage!.programs;
    const reduce = program!.ops.find((op) => op.op === 'collective' && op.kind === 'all_reduce')!;
    const values = Array.from({ length: 160_000 }, (_, id): ProgramValue => {
      return { id, name: `v${id}`, rows: 'tokens', cols: 2, slot: 0 };
    });
    const ops = values.map(({ id }) => ({ ...reduce, value: id }));
    const long = { ...runtime, stages: [{ ...stage!, programs: [{ ...program!, values, ops }] }] };
    const [report] = planReport(long, transitions).stages;
    // Two elements of four bytes, out and back over the one link.
    expect(report!.perToken).toEqual({ allReduce: 160_000 * 16, allGather: 0, send: 0 });
  });
});
