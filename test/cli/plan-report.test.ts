/** The report of a plan on machines and models so large that what takes every pair of their parts would not end. */
import { describe, expect, it } from 'vitest';
import { memoryTable, planReport } from '../../cli/plan-report.js';
import type { ProgramValue } from '../../compiler/ir/runtime-program.js';
import { compilePlan } from '../../compiler/compile.js';
import { makePlan } from '../compiler/support/make-plan.js';

const PARTS = 2000;

/** Looks at each part: some of them for each, and a small part of what every pair would take. */
const SOME = 20 * PARTS;

/** How many elements loops and copies go through while something runs, of all arrays that there are. */
function elementsWalked(run: () => void): number {
  const usual = Object.getOwnPropertyDescriptor(Array.prototype, Symbol.iterator)!;
  const iterate = usual.value as (this: readonly unknown[]) => ArrayIterator<unknown>;
  let count = 0;
  const counting = function (this: readonly unknown[]): ArrayIterator<unknown> {
    count += this.length;
    return iterate.call(this);
  };
  Object.defineProperty(Array.prototype, Symbol.iterator, { ...usual, value: counting });
  try {
    run();
  } finally {
    Object.defineProperty(Array.prototype, Symbol.iterator, usual);
  }
  return count;
}

describe('a report', () => {
  const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] });
  const { runtime, transitions } = compilePlan(plan);

  it('has a row for devices with equal figures, however many', () => {
    const [device] = runtime.devices;
    const devices = Array.from({ length: PARTS }, (_, id) => ({ ...device!, id, path: `gpu[${id}]` }));
    let table = '';
    const walked = elementsWalked(() => (table = memoryTable(devices)));
    const rows = table.trimEnd().split('\n');
    expect(rows).toHaveLength(2);
    expect(rows[1]).toContain(`gpu[0] … gpu[${PARTS - 1}]`);
    expect(walked).toBeGreaterThanOrEqual(PARTS);
    expect(walked).toBeLessThan(SOME);
  });

  it('sums the traffic of a step up, however many its exchanges', () => {
    const [stage] = runtime.stages;
    const [program] = stage!.programs;
    const reduce = program!.ops.find((op) => op.op === 'collective' && op.kind === 'all_reduce')!;
    let looks = 0;
    const values = Array.from({ length: PARTS }, (_, id): ProgramValue => {
      return {
        get id() {
          looks++;
          return id;
        },
        name: `v${id}`,
        rows: 'tokens',
        cols: 2,
        slot: 0,
      };
    });
    const ops = Array.from({ length: PARTS }, (_, value) => ({ ...reduce, value }));
    const long = { ...runtime, stages: [{ ...stage!, programs: [{ ...program!, values, ops }] }] };
    let report: ReturnType<typeof planReport> | undefined;
    const walked = elementsWalked(() => (report = planReport(long, transitions, plan.topology)));
    // Two elements of four bytes, out and back over the one link.
    const perToken = { allReduce: PARTS * 16, allGather: 0, send: 0 };
    expect(report!.stages[0]!.perToken).toEqual(perToken);
    expect(looks).toBeGreaterThanOrEqual(PARTS);
    expect(looks + walked).toBeLessThan(SOME);
  });

  it('counts activations as the topology has it that they cross links', () => {
    const [wide, narrow] = (['f32', 'f16'] as const).map((activations) => {
      const { overhead } = plan.topology;
      return planReport(runtime, transitions, { ...plan.topology, overhead: { ...overhead, activations } })
        .stages[0]!.perToken.allReduce;
    });
    expect(narrow).toBeGreaterThan(0);
    expect(wide).toBe(2 * narrow!);
  });
});
