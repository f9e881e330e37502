/** What declared constants add to a step, and that bounds stay below it whatever they are. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import { tiledRows, type StepSize } from '../../../compiler/cost/kernel-work.js';
import { leastCosts } from '../../../compiler/cost/least-cost.js';
import type { GroupHardware } from '../../../compiler/cost/group-hardware.js';
import { programCost } from '../../../compiler/cost/program-cost.js';
import type { Program } from '../../../compiler/ir/runtime-program.js';
import type { DeviceKind } from '../../../compiler/plan/plan.js';
import { createBoundContext } from '../../../compiler/planner/bounded-stage.js';
import { makePlan } from '../support/make-plan.js';

const LAYERS = 3;
const plan = makePlan({ shape: { layers: LAYERS }, stages: [{ name: 'serve', mesh: { tp: 2 } }] });
const program: Program = compilePlan(plan).runtime.stages[0]!.programs[0]!;
const [device] = plan.topology.devices;
const SIZE: StepSize = { tokens: 8, samples: 2, pairs: 36, keys: 8 };
const DECODE: StepSize = { tokens: 4, samples: 4, pairs: 80, keys: 80, singleRows: true };

interface Declared {
  readonly kernels?: DeviceKind['kernels'];
  readonly gemm?: DeviceKind['gemm'];
  readonly attentionRows?: number;
  readonly overhead?: Partial<GroupHardware['overhead']>;
}

function hardware({ kernels, gemm, attentionRows, overhead }: Declared): GroupHardware {
  return {
    kinds: [
      {
        ...device!.kind,
        ...(kernels && { kernels }),
        ...(gemm && { gemm }),
        ...(attentionRows && { attentionRows }),
      },
    ],
    ranks: 2,
    overhead: { layer: 0, kernel: 0, ...overhead },
    allReduce: { latency: 1e-5, bandwidth: 1e9 },
  };
}

const costOf = (declared: Declared, engine = FULCRUM_ENGINE) =>
  programCost(program, hardware(declared), engine);

function seconds(declared: Declared, size: StepSize = SIZE, engine = FULCRUM_ENGINE): number {
  const cost = costOf(declared, engine);
  return Object.values(cost.step(size)).reduce((sum, each) => sum + each, cost.submits(size));
}

/** Runs of kernels between exchanges: two exchanges a layer, and those of the embedding and of what is around. */
const runs = program.ops.filter(({ op }) => op === 'collective').length + 1;

describe('the constants of a step', () => {
  it('add nothing where they are zero', () => {
    const zero = { submit: { 1: 0, 2: 0 }, read: { 1: 0 } };
    expect(seconds({ overhead: zero, kernels: { rms_norm: 1 } })).toBe(seconds({}));
  });

  it('hand kernels over once between two exchanges, to a group of its size', () => {
    const added = (submit: number): number =>
      seconds({ overhead: { submit: { 1: 7, 2: submit } } }) - seconds({});
    expect(added(1e-3)).toBeCloseTo(runs * 1e-3, 12);
    expect(added(2e-3)).toBeCloseTo(2 * added(1e-3), 12);
  });

  it('read samples back where there are any, from the ranks that report', () => {
    const read = { 1: 1e-3, 2: 3e-3 };
    const sample = program.ops.find(({ op }) => op === 'sample')!;
    expect(sample).toMatchObject({ split: 'tp' });
    expect(seconds({ overhead: { read } }) - seconds({})).toBeCloseTo(3e-3, 12);
    const none = { ...SIZE, samples: 0 };
    expect(seconds({ overhead: { read } }, none)).toBe(seconds({}, none));
  });

  it('choose a token for every row that samples', () => {
    const added = (samples: number): number => {
      const size = { ...SIZE, samples };
      return seconds({ overhead: { choose: 1e-3 } }, size) - seconds({}, size);
    };
    expect([0, 1, 5].map(added)).toEqual([0, expect.closeTo(1e-3, 12), expect.closeTo(5e-3, 12)]);
  });

  it('hand activations on in the type that the engine has for them', () => {
    const [wide, narrow] = (['f32', 'f16'] as const).map((activations) =>
      costOf({ overhead: { activations } }),
    );
    expect(wide!.traffic(SIZE)).toEqual(costOf({}).traffic(SIZE));
    expect(wide!.traffic(SIZE).allReduce).toBeGreaterThan(0);
    expect(narrow!.traffic(SIZE).allReduce).toBe(wide!.traffic(SIZE).allReduce / 2);
    const latencies =
      program.ops.filter((op) => op.op === 'collective' && op.kind === 'all_reduce').length * 1e-5;
    const inBytes = (cost: typeof wide): number => cost!.step(SIZE).all_reduce - latencies;
    expect(inBytes(narrow)).toBeCloseTo(inBytes(wide) / 2, 12);
    expect(narrow!.step(SIZE).gemm).toBe(wide!.step(SIZE).gemm);
  });

  it('read and write activations in memory in the type that the engine has for them', () => {
    const size = { ...SIZE, tokens: 4000 };
    const [wide, narrow] = (['f32', 'f16'] as const).map((activationsInMemory) =>
      costOf({ overhead: { activationsInMemory } }),
    );
    expect(wide!.step(size)).toEqual(costOf({}).step(size));
    // Next to nothing but activations, which memory is busy with.
    expect(narrow!.step(size).elementwise).toBeLessThan(0.6 * wide!.step(size).elementwise);
    expect(narrow!.step(size).all_reduce).toBe(wide!.step(size).all_reduce);
  });

  it('leave out kernels of rows that there are none of', () => {
    const ofSamples = program.ops.filter(
      (op) => op.op === 'sample' || (op.op === 'kernel' && op.rows === 'samples'),
    ).length;
    const added = (samples: number): number => {
      const size = { ...SIZE, samples };
      return seconds({ overhead: { kernel: 1e-3 } }, size) - seconds({}, size);
    };
    expect(ofSamples).toBeGreaterThan(1);
    expect(added(1) - added(0)).toBeCloseTo(ofSamples * 1e-3, 12);
    const gemm = (samples: number): number => costOf({}).step({ ...SIZE, samples }).gemm;
    expect(gemm(1)).toBeGreaterThan(gemm(0));
  });

  it('slow a kernel by what it reaches, and no other', () => {
    const of = (declared: Declared) => costOf(declared).step(SIZE);
    const plain = of({});
    const slow = of({ kernels: { attention: 0.5 } });
    expect(slow).toEqual({ ...plain, attention: expect.closeTo(2 * plain.attention, 15) as number });
    const norms = of({ kernels: { rms_norm: 0.5, add_rms_norm: 0.5 } }).elementwise - plain.elementwise;
    const quarter = of({ kernels: { rms_norm: 0.25, add_rms_norm: 0.25 } }).elementwise - plain.elementwise;
    expect(norms).toBeGreaterThan(0);
    expect(quarter).toBeCloseTo(3 * norms, 15);
  });

  it('know attention of single rows apart, as other attention where nothing is said of it', () => {
    const attention = (kernels: DeviceKind['kernels'], size: StepSize): number =>
      costOf({ kernels }).step(size).attention;
    const own = { attention: 0.5, decode_attention: 0.25 };
    expect(attention(own, DECODE)).toBeCloseTo(4 * attention({}, DECODE), 15);
    expect(attention(own, SIZE)).toBeCloseTo(2 * attention({}, SIZE), 15);
    expect(attention({ attention: 0.5 }, DECODE)).toBeCloseTo(2 * attention({}, DECODE), 15);
  });

  it('compute whole tiles of attention where a sequence has more than a row', () => {
    // A prompt of 16 rows beside a row that decodes at position 31: two tiles of 16 rows.
    const mixed: StepSize = { tokens: 17, samples: 1, pairs: 136 + 32, keys: 48 };
    const inTiles = { 16: { rows: 32, pairs: 16 * (16 + 32) } };
    // So slow that what is computed decides, not what is read.
    const kind = { ...device!.kind, sustained: { compute: 1e-6, bandwidth: 1 } };
    const attention = (size: StepSize, attentionRows?: number): number =>
      programCost(
        program,
        { ...hardware({}), kinds: [{ ...kind, ...(attentionRows && { attentionRows }) }] },
        FULCRUM_ENGINE,
      ).step(size).attention;
    const plain = attention(mixed);
    expect(attention({ ...mixed, inTiles })).toBe(plain);
    expect(attention({ ...mixed, inTiles }, 16)).toBeCloseTo((plain * 16 * 48) / 168, 9);
    expect(attention({ ...DECODE, inTiles }, 16)).toBe(attention(DECODE));
  });

  it('are in the parts of a step, wherever it is cut', () => {
    const cost = costOf({
      kernels: { attention: 0.3 },
      overhead: { layer: 1e-4, kernel: 1e-5, submit: { 2: 2e-4 }, read: { 2: 5e-4 }, choose: 2e-5 },
    });
    const whole = Object.values(cost.step(SIZE)).reduce((sum, each) => sum + each, cost.submits(SIZE));
    const sum = (all: readonly number[]): number => all.reduce((total, each) => total + each, 0);
    const plain = cost.outline(SIZE);
    const kernels = program.ops.flatMap(({ op }, index) => (op === 'kernel' ? [index] : []));
    const ends = plain.flatMap(({ op }, index) => (index === 0 ? [] : [op]));
    const runs = cost.runs(SIZE);
    expect(runs.map(({ what }) => what)).toEqual(plain.map(({ what }) => what));
    runs.forEach(({ seconds, submit }, index) => {
      expect(seconds).toBeCloseTo(plain[index]!.seconds, 12);
      expect(submit).toBeCloseTo(plain[index]!.submit, 12);
    });
    fc.assert(
      fc.property(fc.subarray(kernels), (chosen) => {
        const cuts = new Set(chosen);
        const parts = cost.outline(SIZE, cuts);
        expect(sum(parts.map((part) => part.seconds + part.submit))).toBeCloseTo(whole, 12);
        const begun = parts.map(({ op }) => op);
        expect([...new Set(begun)]).toEqual([...new Set([0, ...ends, ...chosen])].sort((a, b) => a - b));
        // What is between two exchanges takes the same, in however many parts.
        plain.forEach(({ what, op, seconds, submit }, index) => {
          const next = plain.slice(index + 1).find((part) => part.what !== 'sample')?.op ?? Infinity;
          const own = parts.filter((part) => part.what === what && op <= part.op && part.op < next);
          expect(sum(own.map((part) => part.seconds))).toBeCloseTo(seconds, 12);
          expect(sum(own.map((part) => part.submit))).toBeCloseTo(submit, 12);
        });
        expect(parts.at(-1)).toMatchObject({
          what: 'sample',
          seconds: 0,
          submit: expect.closeTo(5e-4 + SIZE.samples * 2e-5, 12) as number,
        });
      }),
    );
  });
});

/** The program with one fact of an op changed, for every fact that there is. */
function changed(): readonly Program[] {
  const withOp = (at: number, op: Program['ops'][number]): Program => ({
    ...program,
    ops: program.ops.map((each, index) => (index === at ? op : each)),
  });
  const ofOps = program.ops.flatMap((op, at) => {
    if (op.op === 'sample') {
      const [vocabPerRank, vocab] = [100 * op.vocabPerRank, op.vocab + 1];
      return [withOp(at, { ...op, vocabPerRank }), withOp(at, { ...op, vocab })];
    }
    if (op.op !== 'kernel') return [];
    const ofParams = Object.entries(op.params).map(([name, value]) =>
      withOp(at, { ...op, params: { ...op.params, [name]: 3 * value + 1 } }),
    );
    const rows = op.rows === 'tokens' ? 'samples' : 'tokens';
    return [...ofParams, withOp(at, { ...op, dtype: 'int4' }), withOp(at, { ...op, rows })];
  });
  const ofValues = program.values.map(({ id }): Program => ({
    ...program,
    values: program.values.map((each) => (each.id === id ? { ...each, cols: 3 * each.cols + 8 } : each)),
  }));
  return [...ofOps, ...ofValues];
}

it('has another signature wherever a step takes another time', () => {
  const overhead = { layer: 1e-4, kernel: 1e-5, submit: { 2: 2e-4 }, read: { 2: 5e-4 }, choose: 2e-5 };
  const group = hardware({ overhead: { ...overhead, encode: 1e-6 } });
  const outcome = (each: Program) => {
    const { signature, ...cost } = programCost(each, group, FULCRUM_ENGINE);
    const times = [SIZE, DECODE, { ...SIZE, samples: 0 }].map((size) => [
      ...[cost.step(size), cost.submits(size), cost.choosing(size), cost.hosting(size)],
      cost.traffic(size),
    ]);
    return { signature, times: JSON.stringify(times) };
  };
  const timesOf = new Map<string, string>();
  for (const { signature, times } of [program, ...changed()].map(outcome)) {
    expect(timesOf.get(signature) ?? times).toBe(times);
    timesOf.set(signature, times);
  }
  expect(timesOf.size).toBeGreaterThan(20);
});

it('makes no step slower where small products lose nothing', () => {
  const fraction = fc.double({ min: 0.05, max: 1, noNaN: true });
  const gemm = fc.record({ 4: fraction, 16: fraction, 64: fraction });
  fc.assert(
    fc.property(gemm, fc.integer({ min: 1, max: 200 }), (fractions, tokens) => {
      const size = { ...SIZE, tokens };
      const without = seconds({ gemm: fractions }, size, { ...FULCRUM_ENGINE, smallGemmLoss: false });
      expect(without).toBeLessThanOrEqual(seconds({ gemm: fractions }, size) * (1 + 1e-9));
    }),
  );
});

it('tells kinds of devices apart whatever they are called', () => {
  const { costsOf, stepsOf } = createBoundContext(plan, FULCRUM_ENGINE);
  const [some, fast] = [hardware({}), hardware({})];
  const faster = { ...fast, kinds: fast.kinds.map((kind) => ({ ...kind, bandwidth: 2 * kind.bandwidth })) };
  const work = { ...SIZE, steps: 1, sampling: 1 };
  const most = { tokens: SIZE.tokens, samples: SIZE.samples };
  const [least, leastFaster] = [some, faster].map((each) => costsOf(program, [each])(most)(work));
  expect(leastFaster).toBeLessThan(least!);
  expect(stepsOf(program, faster).seconds(SIZE)).toBeLessThan(stepsOf(program, some).seconds(SIZE));
  // The same hardware is not worked out again.
  expect(costsOf(program, [{ ...some }])).toBe(costsOf(program, [some]));
});

it('keeps bounds below the steps, whatever is declared', () => {
  const fraction = fc.double({ min: 0.05, max: 1, noNaN: true });
  const time = fc.double({ min: 0, max: 1e-3, noNaN: true });
  const declared = fc.record({
    kernels: fc.record({
      rms_norm: fraction,
      rope_append: fraction,
      attention: fraction,
      decode_attention: fraction,
      sample: fraction,
    }),
    gemm: fc.record({ 4: fraction, 16: fraction, 64: fraction }),
    attentionRows: fc.constantFrom(1, 4, 16),
    overhead: fc.record({
      layer: time,
      kernel: time,
      submit: fc.record({ 2: time }),
      read: fc.record({ 2: time }),
    }),
  });
  const sizes = fc.array(
    fc.record({ decoding: fc.boolean(), rows: fc.integer({ min: 1, max: 40 }), samples: fc.nat(3) }),
    { minLength: 1, maxLength: 5 },
  );
  fc.assert(
    fc.property(declared, sizes, fc.boolean(), (constants, steps, smallGemmLoss) => {
      const engine = { ...FULCRUM_ENGINE, smallGemmLoss };
      const all = steps.map(({ decoding, rows, samples }): StepSize =>
        decoding
          ? { tokens: rows, samples: rows, pairs: 20 * rows, keys: 20 * rows, singleRows: true }
          : {
              tokens: rows,
              samples: Math.min(rows, samples),
              pairs: (rows * (rows + 1)) / 2,
              keys: rows,
              inTiles: { 4: tiledRows(0, rows, 4), 16: tiledRows(0, rows, 16) },
            },
      );
      const total = (pick: (size: StepSize) => number): number =>
        all.reduce((sum, size) => sum + pick(size), 0);
      const most = {
        tokens: Math.max(...all.map(({ tokens }) => tokens)),
        samples: Math.max(...all.map(({ samples }) => samples)),
      };
      const least = leastCosts(program, [hardware(constants)], engine)(most)({
        tokens: total(({ tokens }) => tokens),
        samples: total(({ samples }) => samples),
        pairs: total(({ pairs }) => pairs),
        keys: total(({ keys }) => keys),
        steps: all.length,
        sampling: all.filter(({ samples }) => samples > 0).length,
      });
      expect(least).toBeLessThanOrEqual(total((size) => seconds(constants, size, engine)) * (1 + 1e-9));
    }),
  );
});

it('keeps the bound of several groups below the mean of their parts', () => {
  const part = fc.double({ min: 0.05, max: 1, noNaN: true });
  const declared = fc.record({
    bandwidth: part,
    gemm: fc.record({ 4: part, 16: part }),
    kernels: fc.record({ rms_norm: part, attention: part }),
    overhead: fc.record({ layer: fc.double({ min: 0, max: 1e-3, noNaN: true }) }),
  });
  const work = fc.record({
    steps: fc.integer({ min: 1, max: 20 }),
    rows: fc.integer({ min: 1, max: 20 }),
    keys: fc.integer({ min: 1, max: 5000 }),
  });
  const most = { tokens: 20, samples: 20 };
  const totalOf = ({ steps, rows, keys }: { steps: number; rows: number; keys: number }) => ({
    steps,
    sampling: steps,
    tokens: steps * rows,
    samples: steps * rows,
    pairs: steps * rows * keys,
    keys: steps * rows * keys,
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(declared, work), { minLength: 2, maxLength: 4 }), (parts) => {
      const groups = parts.map(([{ bandwidth, ...constants }]) => {
        const group = hardware(constants);
        const kinds = group.kinds.map((kind) => ({ ...kind, bandwidth: kind.bandwidth * bandwidth }));
        return { ...group, kinds };
      });
      const works = parts.map(([, each]) => totalOf(each));
      const [first, ...others] = groups;
      const costs = groups.map((group) => leastCosts(program, [group], FULCRUM_ENGINE)(most));
      const mean = (pick: (work: ReturnType<typeof totalOf>) => number): number =>
        works.reduce((sum, each) => sum + pick(each), 0) / works.length;
      const inTheMean = {
        steps: mean((each) => each.steps),
        sampling: mean((each) => each.sampling),
        tokens: mean((each) => each.tokens),
        samples: mean((each) => each.samples),
        pairs: mean((each) => each.pairs),
        keys: mean((each) => each.keys),
      };
      const least = leastCosts(program, [first!, ...others], FULCRUM_ENGINE)(most);
      const taken = works.reduce((sum, each, place) => sum + costs[place]!(each), 0) / works.length;
      expect(least(inTheMean)).toBeLessThanOrEqual(taken * (1 + 1e-9));
      for (const [place, each] of works.entries())
        expect(least(each)).toBeLessThanOrEqual(costs[place]!(each) * (1 + 1e-9));
    }),
  );
});
