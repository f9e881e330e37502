/** Courses of stages for both phases that are found once for several of them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBoundContext, boundedStage, stageLoad } from '../../../compiler/planner/bounded-stage.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { findCandidates } from '../../../compiler/planner/candidates.js';
import { fusedCourse, type FusedFigures, type FusedSetting } from '../../../compiler/planner/fused-course.js';
import { knownFused, sharedRoom, type KnownFused } from '../../../compiler/planner/known-fused.js';
import type { StageLoad } from '../../../compiler/planner/stage-load.js';
import { planOn } from '../../runtime/tune/machines.js';

const plan = planOn({
  peerBandwidth: 1e9,
  deviceMemory: 1e9,
  pageTokens: 16,
  step: 0,
  layer: 0,
  request: 0,
});
const inOrder = {
  computed: Array.from({ length: 12 }, () => 0),
  begun: Array.from({ length: 12 }, () => false),
  prompts: Array.from({ length: 12 }, (_, i) => 10 + i),
  rows: Array.from({ length: 12 }, (_, i) => 20 + 3 * i),
};
const none = { step: 0, request: 0 };
const kv = { pageTokens: 16 };

const setting = (room: number): FusedSetting => ({ room, sequences: inOrder, kv, overhead: none });

/** By batch, of one mesh. */
function loads(batches: readonly number[]): readonly StageLoad[] {
  const context = createBoundContext(plan, FULCRUM_ENGINE);
  const sizes = { microbatchTokens: [64], batchRequests: batches };
  const [first, ...others] = findCandidates(plan, ['fused'], sizes);
  const room = {
    pages: new Map<string, number>(),
    handsOver: new Set<string>(),
    takesOver: new Set<string>(),
  };
  return [first!, ...others]
    .filter(({ stages }) => stages[0]!.mesh === first!.stages[0]!.mesh)
    .map(({ base, stages }) => stageLoad(boundedStage(base, stages[0]!, context)!, room));
}

describe('knownFused', () => {
  it('is the course of each stage', () => {
    const known = knownFused();
    const all = loads([2, 4, 16, 32]);
    expect(all).toHaveLength(4);
    const courses = all.map((load) => known(load, setting(100)));
    for (const [i, load] of all.entries()) {
      const { seconds, betweenTokens } = fusedCourse(load, setting(100));
      expect(courses[i]).toMatchObject({ seconds, betweenTokens });
    }
    expect(new Set(courses.map(({ seconds }) => seconds)).size).toBe(3);
  });

  it('finds it once for batches that are never reached, and for as much room', () => {
    const known = knownFused();
    const [two, eleven, twelve, many, more] = loads([2, 11, 12, 16, 32]);
    const course = (load: StageLoad, room: number): FusedFigures => known(load, setting(room));
    const found = course(many!, 1000);
    expect(found.reachedBatch).toBe(false);
    expect(course(more!, 1000)).toBe(found);
    // Nor with a smaller one that holds all that were in at once.
    expect(found.mostIn).toBe(12);
    expect(course(twelve!, 1000)).toBe(found);
    expect(course(eleven!, 1000)).not.toBe(found);
    expect(course(many!, 1001)).toBe(found);
    expect(course(many!, 900)).not.toBe(found);
    expect(course(two!, 1000)).not.toBe(found);
    for (const each of [two, eleven]) expect(course(each!, 1000)).toBe(course(each!, 1000));
    expect(known(many!, { ...setting(1000), sequences: { ...inOrder } })).not.toBe(found);
  });

  it('is the same whatever was asked for before', () => {
    const many = Array.from({ length: 300 }, (_, i) => i);
    const crowd = {
      computed: many.map(() => 0),
      begun: many.map(() => false),
      prompts: many.map((i) => 200 + (i % 13)),
      rows: many.map((i) => 300 + (i % 37)),
    };
    const stages = loads([64, 192, 200, 256]);
    // Less than the pages of a quarter of the sequences, on four replicas.
    const asked = stages.flatMap((load) => [1050, 1051, 1052, 1053].map((room) => ({ load, room })));
    const seconds = (known: KnownFused, { load, room }: (typeof asked)[number]): number =>
      known(load, { ...setting(room), sequences: crowd }).seconds;
    const [one, other] = [knownFused(), knownFused()];
    const forwards = asked.map((each) => seconds(one, each));
    const backwards = asked.toReversed().map((each) => seconds(other, each));
    expect(forwards).toEqual(backwards.toReversed());
    expect(forwards).toEqual(asked.map((each) => seconds(knownFused(), each)));
    expect(new Set(forwards).size).toBeGreaterThan(2);
  });
});

it('the room that stands for several is the most of them, and one that stands for itself', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_000_000 }), (room) => {
      const shared = sharedRoom(room);
      expect(shared).toBeGreaterThanOrEqual(room);
      expect(shared).toBeLessThanOrEqual(room * 1.00301);
      expect(sharedRoom(shared)).toBe(shared);
      expect(sharedRoom(shared + 1)).toBeGreaterThan(shared);
    }),
  );
});
