/** Groups of a stage on the clock: those said to be alike cost the same, to the bit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPlanCompiler } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { candidateLabel, candidatePlan, findCandidates } from '../../../compiler/planner/candidates.js';
import { routesOf } from '../../../compiler/plan/routes.js';
import { stageGroups, stepSize } from '../../../runtime/clock/stage-clock.js';
import { machine, planOn } from '../tune/machines.js';

const items = fc.array(
  fc.record({ start: fc.nat(100), count: fc.integer({ min: 1, max: 20 }), sample: fc.boolean() }),
  { minLength: 1, maxLength: 8 },
);

describe('stageGroups', () => {
  it('calls groups alike whose steps take the same time and move the same bytes', () => {
    let shared = 0;
    fc.assert(
      fc.property(machine, items, (made, rows) => {
        const step = rows.map((row, sequence) => ({ ...row, sequence, firstPage: 0, pages: [] }));
        const size = stepSize(step, made.pageTokens);
        const compile = createPlanCompiler();
        for (const candidate of findCandidates(planOn({ ...made, deviceMemory: 1e9 }), ['fused'])) {
          const plan = candidatePlan(candidate);
          for (const stage of compile(plan).runtime().stages) {
            const groups = stageGroups(stage, plan, routesOf(plan.topology), FULCRUM_ENGINE).flat();
            const firsts = new Map(groups.toReversed().map((group) => [group.alike, group]));
            for (const { alike, cost } of groups) {
              const first = firsts.get(alike)!.cost;
              if (first !== cost) shared++;
              expect(cost.step(size)).toEqual(first.step(size));
              expect(cost.submits(size)).toBe(first.submits(size));
              expect(cost.traffic(size)).toEqual(first.traffic(size));
            }
          }
        }
      }),
      { numRuns: 3 },
    );
    expect(shared).toBeGreaterThan(0);
  });
});

it('calls no groups alike whose devices are of two kinds, whatever these are called', () => {
  const made = planOn({
    peerBandwidth: 1e11,
    deviceMemory: 1e9,
    pageTokens: 16,
    step: 0,
    layer: 0,
    request: 0,
  });
  const label = '(dp: 4)';
  const plan = candidatePlan(findCandidates(made, ['fused']).find((each) => candidateLabel(each) === label)!);
  const [first, ...others] = plan.topology.devices;
  const kind = { ...first!.kind, bandwidth: 2 * first!.kind.bandwidth };
  const mixed = { ...plan, topology: { ...plan.topology, devices: [{ ...first!, kind }, ...others] } };
  const [stage] = createPlanCompiler()(mixed).runtime().stages;
  const groups = stageGroups(stage!, mixed, routesOf(mixed.topology), FULCRUM_ENGINE).flat();
  expect(groups.map(({ alike }) => alike)).toEqual([0, 1, 1, 1]);
  const size = stepSize([{ sequence: 0, firstPage: 0, pages: [], start: 0, count: 4, sample: true }], 16);
  expect(groups[0]!.cost.seconds(size)).toBeLessThan(groups[1]!.cost.seconds(size));
});

it('counts rows in tiles where a step has more than one of a sequence', () => {
  const item = (sequence: number, start: number, count: number) => ({
    sequence,
    start,
    count,
    sample: false,
    firstPage: 0,
    pages: [],
  });
  const [prompt, decoding] = [item(0, 0, 20), item(1, 31, 1)];
  const mixed = stepSize([prompt, decoding], 16, { tiles: [16] });
  expect(mixed).toEqual({
    ...stepSize([prompt, decoding], 16),
    inTiles: { 16: { rows: 48, pairs: 16 * (16 + 20 + 32) } },
  });
  expect(stepSize([decoding], 16, { tiles: [16] })).toEqual(stepSize([decoding], 16));
  expect(stepSize([prompt], 16).inTiles).toBeUndefined();
});

it('counts what rows of each sequence see of a window, where a step passes it', () => {
  const item = (start: number, count: number) => ({
    sequence: 0,
    start,
    count,
    sample: false,
    firstPage: 0,
    pages: [],
  });
  const step = [item(0, 20), item(31, 1), item(5, 1)];
  const whole = stepSize(step, 16, { tiles: [16] });
  expect(whole).toMatchObject({ pairs: 210 + 32 + 6, keys: 20 + 32 + 6 });
  expect(stepSize(step, 16, { tiles: [16], window: 32 })).toEqual(whole);
  expect(stepSize(step, 16, { tiles: [16], window: 10 })).toEqual({
    ...whole,
    inWindow: {
      pairs: 55 + 10 * 10 + 10 + 6,
      keys: 20 + 10 + 6,
      inTiles: { 16: { rows: 64, pairs: 16 * (16 + 13 + 10 + 6) } },
    },
  });
});
