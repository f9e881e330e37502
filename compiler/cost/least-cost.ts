/**
 * A lower bound on the seconds of any number of steps of a program, from the work they do together. `program-cost`
 * costs one step; this is never above the sum over the steps, whatever part of the work each of them does.
 *
 * For a kernel whose time is the larger of computing and reading, `max(f r, w + b r)` for r rows, a sum over steps is
 * at least `max(f R, N w + b R)` for N steps with R rows in all: each of the two sums is below it. Matrix products
 * count with the highest FLOP/s that any number of rows up to a step's limit reaches. Tiles of few rows are computed
 * whole, so `f R` is at least that of N tiles; of attention only the rows that there are count, whatever tiles a device
 * computes them in. Exchanges take latency and bytes, both of which add up.
 */
import type { EngineModel } from './engine-model.js';
import { workKind, workOfSteps, type StepSize, type WorkKind } from './kernel-work.js';
import { allGatherCost, type LinkCost } from './links.js';
import { classify, type CostedProgram, type OpClass } from './op-classes.js';
import { heldElementBytes, sentElementBytes, type GroupHardware } from './group-hardware.js';
import { groupOverhead } from './program-cost.js';
import { launchesOf } from './program-parts.js';
import { deviceRates, GEMM_TILE_ROWS, type DeviceRates } from './rates.js';
import { vectorType } from '../model/weight-types.js';

/**
 * The work of several steps together: the sizes of `StepSize` are sums over them. Numbers may be fractions, as means
 * over replicas are.
 */
export interface TotalWork extends StepSize {
  readonly steps: number;
  /** How many of the steps sample at all. */
  readonly sampling: number;
}

type RowKind = 'tokens' | 'samples';

/** Lower bound in seconds for the work. */
export type LeastCost = (work: TotalWork) => number;

/** Seconds of all ops of one class: the larger of two sums, of computing and of reading memory. */
interface Term {
  readonly rows: RowKind;
  /** Seconds of computing a row and a pair, and whether a step computes whole tiles of rows. */
  readonly computeRow: number;
  readonly computePair: number;
  readonly inTiles: boolean;
  /** Seconds of reading: once a step, for a row, for a key. */
  readonly readStep: number;
  readonly readRow: number;
  readonly readKey: number;
}

/** Most rows of each kind that a step may have. */
export type MostRows = Readonly<Record<RowKind, number>>;

/** The lower bound for work in steps of at most so many rows. Limits that make no difference share one function. */
export type LeastCosts = (most: MostRows) => LeastCost;

/**
 * The lower bounds for a program.
 *
 * @param groups tp groups that may run the program. Each cost term is the least that any group takes for it, so that
 *   the bound holds for every group, and as it is convex also for work that is dealt out over them: the mean over
 *   groups of what their parts take is no less than what the mean of these parts takes
 */
export function leastCosts(
  program: CostedProgram,
  groups: readonly [GroupHardware, ...GroupHardware[]],
  engine: EngineModel,
): LeastCosts {
  const each = groups.map((hardware) => groupTerms(program, hardware, engine));
  const upTo = (most: MostRows): LeastCost => {
    const { launches, sampling, choose, tokens, samples } = each
      .map(({ upTo }) => upTo(most))
      .reduce(leastOf);
    return (work) =>
      work.steps * launches +
      work.sampling * sampling +
      work.samples * choose +
      rowSeconds(tokens, work, work.steps, work.tokens) +
      rowSeconds(samples, work, work.sampling, work.samples);
  };
  const known = new Map<string, LeastCost>();
  return (most) => {
    const key = each.map(({ reached }) => reached(most)).join();
    const cost = known.get(key) ?? upTo(most);
    known.set(key, cost);
    return cost;
  };
}

/** All terms of the bound: seconds per step, per step that samples, per sampled row, and those that depend on rows. */
interface StepTerms {
  readonly launches: number;
  readonly sampling: number;
  readonly choose: number;
  readonly tokens: RowCosts;
  readonly samples: RowCosts;
}

/** The terms of a program on one tp group. */
interface GroupTerms {
  readonly upTo: (most: MostRows) => StepTerms;
  /** Equal for limits with equal terms. */
  readonly reached: (most: MostRows) => string;
}

function groupTerms(program: CostedProgram, hardware: GroupHardware, engine: EngineModel): GroupTerms {
  const rates = hardware.kinds.map((kind) => deviceRates(kind, engine.smallGemmLoss));
  const classes = classify(program, program.ops);
  const exchanges = classes.flatMap((each) => exchangeTerms(each, hardware));
  const overhead = groupOverhead(program, hardware, engine);
  const { layers, kernels: launched, runs } = launchesOf(program, classes);
  const fixed = {
    launches: layers * overhead.layer + launched.tokens * overhead.kernel + runs * overhead.submit,
    sampling: overhead.read + launched.samples * overhead.kernel,
    choose: overhead.choose,
  };
  return {
    upTo(most) {
      const kernels = classes.flatMap((each) => kernelTerms(each, rates, hardware, engine, most));
      const ofRows = (kind: RowKind): RowCosts => ({
        exchange: exchanges.filter(({ rows }) => rows === kind).reduce(together, NO_EXCHANGE),
        kernels: kernels.filter(({ rows }) => rows === kind),
      });
      return { ...fixed, tokens: ofRows('tokens'), samples: ofRows('samples') };
    },
    reached: (most) =>
      rates
        .flatMap(({ bestGemmFlops }) => [
          bestGemmFlops('f32', most.tokens),
          bestGemmFlops('f32', most.samples),
        ])
        .join(),
  };
}

/** The lesser of each term of two groups that run the same program. */
function leastOf(a: StepTerms, b: StepTerms): StepTerms {
  return {
    launches: Math.min(a.launches, b.launches),
    sampling: Math.min(a.sampling, b.sampling),
    choose: Math.min(a.choose, b.choose),
    tokens: leastOfRows(a.tokens, b.tokens),
    samples: leastOfRows(a.samples, b.samples),
  };
}

function leastOfRows(a: RowCosts, b: RowCosts): RowCosts {
  return {
    exchange: {
      latency: Math.min(a.exchange.latency, b.exchange.latency),
      row: Math.min(a.exchange.row, b.exchange.row),
    },
    kernels: a.kernels.map((term, place): Term => {
      const other = b.kernels[place]!;
      return {
        rows: term.rows,
        inTiles: term.inTiles && other.inTiles,
        computeRow: Math.min(term.computeRow, other.computeRow),
        computePair: Math.min(term.computePair, other.computePair),
        readStep: Math.min(term.readStep, other.readStep),
        readRow: Math.min(term.readRow, other.readRow),
        readKey: Math.min(term.readKey, other.readKey),
      };
    }),
  };
}

/** Costs of all ops that count rows of one kind. */
interface RowCosts {
  readonly exchange: Omit<ExchangeTerm, 'rows'>;
  readonly kernels: readonly Term[];
}

/**
 * Seconds of the ops with one kind of row, for `rows` rows in `steps` steps. Bounds ask for millions of these, so that
 * what is the same for many kernels is worked out once.
 */
function rowSeconds(
  { exchange, kernels }: RowCosts,
  { pairs, keys }: TotalWork,
  steps: number,
  rows: number,
): number {
  const tiled = Math.max(rows, steps * GEMM_TILE_ROWS);
  let seconds = steps * exchange.latency + rows * exchange.row;
  for (const { inTiles, computeRow, computePair, readStep, readRow, readKey } of kernels) {
    const compute = (inTiles ? tiled : rows) * computeRow + pairs * computePair;
    const read = steps * readStep + rows * readRow + keys * readKey;
    seconds += compute > read ? compute : read;
  }
  return seconds;
}

/** On the slowest device of the group: the bound of a sum of maxima may take any one device for each op. */
function kernelTerms(
  { op, count }: OpClass,
  rates: readonly DeviceRates[],
  { kinds, overhead }: GroupHardware,
  { smallGemmLoss }: EngineModel,
  most: MostRows,
): readonly Term[] {
  if (op.op === 'sample') {
    const bandwidth = Math.min(...rates.map((rate) => rate.bandwidth * rate.reach('sample')));
    const readRow = (count * op.vocabPerRank * 4) / bandwidth;
    return [{ ...NO_TERM, rows: 'samples', readRow }];
  }
  if (op.op !== 'kernel') return [];
  // Rows beyond a window see fewer keys than the sums say.
  const windowed = op.params['window'] !== undefined;
  const workOf = workOfSteps(op, heldElementBytes({ overhead }));
  const work = (rows: number, pairs: number, keys: number): { flops: number; bytes: number } =>
    workOf({ tokens: rows, samples: rows, pairs: windowed ? 0 : pairs, keys: windowed ? 0 : keys });
  const [one, two, pair, key] = [work(1, 0, 0), work(2, 0, 0), work(1, 1, 0), work(1, 0, 1)];
  const kind = workKind(op.kernel);
  const dtype = vectorType(op.dtype ?? 'f32');
  // Which of its ways attention takes depends on the step.
  const reach = (rate: DeviceRates): number =>
    op.kernel === 'attention'
      ? Math.max(rate.reach('attention'), rate.reach('decode_attention'))
      : rate.reach(op.kernel);
  const speed = Math.min(...rates.map((rate) => bestFlops(rate, kind, dtype, most[op.rows]) * reach(rate)));
  const bandwidth = Math.min(...rates.map((rate) => rate.bandwidth * reach(rate)));
  const inTiles = kind === 'gemm' && smallGemmLoss && kinds.every(({ gemm }) => gemm === undefined);
  return [
    {
      rows: op.rows,
      computeRow: (count * (two.flops - one.flops)) / speed,
      computePair: (count * (pair.flops - one.flops)) / speed,
      inTiles,
      readStep: (count * Math.max(0, 2 * one.bytes - two.bytes)) / bandwidth,
      readRow: (count * (two.bytes - one.bytes)) / bandwidth,
      readKey: (count * (key.bytes - one.bytes)) / bandwidth,
    },
  ];
}

const NO_TERM: Omit<Term, 'rows'> = {
  computeRow: 0,
  computePair: 0,
  inTiles: false,
  readStep: 0,
  readRow: 0,
  readKey: 0,
};

function bestFlops(
  rates: DeviceRates,
  kind: WorkKind,
  dtype: ReturnType<typeof vectorType>,
  rows: number,
): number {
  return kind === 'gemm' ? rates.bestGemmFlops(dtype, rows) : rates.flops(dtype);
}

interface ExchangeTerm {
  readonly rows: RowKind;
  /** Seconds for each step that has such rows, and for each row. */
  readonly latency: number;
  readonly row: number;
}

const NO_EXCHANGE: Omit<ExchangeTerm, 'rows'> = { latency: 0, row: 0 };

function together(
  sum: Omit<ExchangeTerm, 'rows'>,
  { latency, row }: ExchangeTerm,
): Omit<ExchangeTerm, 'rows'> {
  return { latency: sum.latency + latency, row: sum.row + row };
}

function exchangeTerms({ op, cols, rows, count }: OpClass, hardware: GroupHardware): readonly ExchangeTerm[] {
  const { allReduce, send } = hardware;
  const term = (link: LinkCost | undefined, columns: number): readonly ExchangeTerm[] =>
    link === undefined || columns === 0
      ? []
      : [
          {
            rows,
            latency: count * link.latency,
            row: (count * columns * sentElementBytes(hardware)) / link.bandwidth,
          },
        ];
  if (op.op === 'send') return term(send, cols.given);
  if (op.op !== 'collective') return [];
  return term(allReduce && (op.kind === 'all_reduce' ? allReduce : allGatherCost(allReduce)), cols.taken);
}
