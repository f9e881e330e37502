/**
 * One rank of a stage made ready to run: its workspace, its step arguments and every kernel of its program, bound.
 */
import { lastReads } from '../../compiler/ir/weight-writes.js';
import type { RuntimeRank, RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { KernelOp, Operand, Program, RopeTable, SampleOp } from '../../compiler/ir/runtime-program.js';
import { activationStride } from '../../compiler/ir/device-layout.js';
import type { BoundKernel, BufferRange, CommandList, Device, DeviceBuffer } from '../device/device.js';
import type { KernelLibrary, KernelRequest, KernelVariant } from '../kernels/kernel.js';
import { ATTENTION_TILE_ROWS, SAMPLE_WORDS } from '../kernels/kernel.js';
import type { CopyPage } from '../kv/page-copies.js';
import { openLogitAdjuster } from './logit-adjuster.js';
import type { LogitAdjuster } from './logit-adjuster.js';
import type { WeightUse } from './passages.js';
import type { Region, StepArgs, StepArgsLayout } from './step-args.js';
import type { Place } from './weight-arena.js';

/** A kernel op with its variants bound, in order of `maxRows`. */
interface ReadyOp {
  readonly op: KernelOp | SampleOp;
  readonly counts: 'tokens' | 'samples' | 'tiles';
  /** Immediates after the count. */
  readonly immediates: readonly number[];
  readonly variants: readonly {
    readonly tileRows?: number;
    readonly variant: KernelVariant;
    readonly bound: BoundKernel;
  }[];
}

export interface Rank {
  readonly device: Device;
  readonly rank: RuntimeRank;
  readonly sampleOutput?: DeviceBuffer;
  /** Of ranks that sample. */
  readonly adjuster?: LogitAdjuster;
  /** What its program reads of weights, for those who write over them. */
  readonly uses: readonly WeightUse[];
  /** Writes the step's arguments; ordered with the commands around it. */
  writeArgs(args: StepArgs): void;
  /** Records the copies of pages that the step begins with. */
  copyPages(commands: CommandList, args: StepArgs): void;
  /** Resolves when the weights of an op have arrived; undefined when they are there. */
  arrival(op: number): Promise<unknown> | undefined;
  /** Records the kernels of ops `first..end` (program order, kernels and sample ops only). */
  record(commands: CommandList, first: number, end: number, args: StepArgs): void;
  /** Buffer of a program value. */
  valueBuffer(value: number): DeviceBuffer;
}

export interface RankContext {
  readonly device: Device;
  readonly library: KernelLibrary;
  readonly layout: StepArgsLayout;
  readonly weightPlace: (weight: string) => Place;
  /** Resolves when the weight has arrived; undefined when it is there. */
  readonly weightArrival: (weight: string) => Promise<void> | undefined;
  readonly kvBuffer: (group: number) => DeviceBuffer;
  readonly copyPage: CopyPage;
  readonly rope: (table: RopeTable) => DeviceBuffer;
  /** Buffer of a slot of the rank's program; it may be larger than the slot. */
  readonly slot: (id: number) => DeviceBuffer;
}

/** Allocates step arguments and compiles and binds all kernels of a rank's program. */
export async function openRank(stage: RuntimeStage, rank: RuntimeRank, context: RankContext): Promise<Rank> {
  const { device, layout } = context;
  const program = stage.programs[rank.program]!;
  const args = device.createBuffer(`${stage.name} step arguments`, layout.bytes);
  const samples = program.ops.some((op) => op.op === 'sample')
    ? device.createBuffer(`${stage.name} samples`, stage.maxSequences * SAMPLE_WORDS * 4)
    : undefined;
  const valueBuffer = (id: number): DeviceBuffer => {
    const value = program.values.find((candidate) => candidate.id === id);
    if (value === undefined) throw new Error(`program ${program.pp} of ${stage.name} has no value ${id}`);
    return context.slot(value.slot);
  };
  const region = (at: Region): BufferRange => ({ buffer: args, offset: at.offset, bytes: at.bytes });
  const range = (operand: Operand): BufferRange => {
    if ('value' in operand) return { buffer: valueBuffer(operand.value) };
    if ('weight' in operand) return context.weightPlace(operand.weight);
    if ('step' in operand) return region(layout[operand.step]);
    if ('kv' in operand) return { buffer: context.kvBuffer(operand.kv) };
    return { buffer: context.rope(operand.constant) };
  };
  const weightsOf = program.ops.map((op) =>
    op.op === 'kernel' ? op.operands.flatMap((operand) => ('weight' in operand ? [operand.weight] : [])) : [],
  );
  const maxRows = { tokens: stage.maxTokens, samples: stage.maxSequences, tiles: stage.maxTokens };
  const ready = new Map<number, ReadyOp>();
  await Promise.all(
    program.ops.map(async (op) => {
      if (op.op !== 'kernel' && op.op !== 'sample') return;
      const ranges =
        op.op === 'kernel'
          ? op.operands.map(range)
          : [region(layout.samples), { buffer: valueBuffer(op.logits) }, { buffer: samples! }];
      const counts = op.op === 'sample' ? 'samples' : op.kernel === 'attention' ? 'tiles' : op.rows;
      const bind = async (variant: KernelVariant, tileRows?: number) => ({
        tileRows,
        variant,
        bound: device.bind(await device.createKernel(variant), ranges),
      });
      const variants = await Promise.all(
        kernelRequests(op, program, stage).flatMap(({ request, tileRows }) =>
          reachable(context.library(request, device.limits), maxRows[counts]).map((variant) =>
            bind(variant, tileRows),
          ),
        ),
      );
      ready.set(op.id, { op, counts, immediates: immediatesOf(op, rank), variants });
    }),
  );
  const sampleOp = program.ops.find((op) => op.op === 'sample');
  const adjuster =
    sampleOp === undefined
      ? undefined
      : await openLogitAdjuster({
          device,
          library: context.library,
          label: stage.name,
          maxSequences: stage.maxSequences,
          vocab: sampleOp.vocab,
          vocabStart: vocabStart(sampleOp, rank),
          params: kernelRequests(sampleOp, program, stage)[0]!.request.params,
          samples: region(layout.samples),
          logits: { buffer: valueBuffer(sampleOp.logits) },
        });
  return {
    device,
    rank,
    sampleOutput: samples,
    ...(adjuster === undefined ? {} : { adjuster }),
    valueBuffer,
    uses: [...lastReads(program.ops)].map(([weight, last]) => ({ place: context.weightPlace(weight), last })),
    writeArgs: (step) => device.write(args, 0, step.bytes),
    copyPages(commands, { copies }) {
      for (const { from, to } of copies) context.copyPage(commands, from, to);
    },
    arrival(op) {
      const awaited = weightsOf[op]!.flatMap((weight) => context.weightArrival(weight) ?? []);
      return awaited.length === 0 ? undefined : Promise.all(awaited);
    },
    record(commands, first, end, step) {
      const rows = { tokens: step.rowCount, samples: step.sampleCount, tiles: step.tileCount };
      for (let index = first; index < end; index++) {
        const entry = ready.get(program.ops[index]!.id);
        if (entry === undefined) throw new Error(`op ${index} of ${stage.name} is not a kernel`);
        const count = rows[entry.counts];
        if (count === 0) continue;
        const { variant, bound } = pick(entry, count, step.tileRows);
        commands.dispatch(bound, Uint32Array.of(count, ...entry.immediates), variant.grid(count));
      }
    },
  };
}

function pick(entry: ReadyOp, rows: number, tileRows: number): ReadyOp['variants'][number] {
  const found = entry.variants.find(
    (candidate) =>
      candidate.variant.maxRows >= rows &&
      (candidate.tileRows === undefined || candidate.tileRows === tileRows),
  );
  if (found === undefined) throw new Error(`no variant of op ${entry.op.id} for ${rows} rows`);
  return found;
}

/** Variants that steps of at most `maxRows` rows can ask for: up to the first that covers them all. */
function reachable(variants: readonly KernelVariant[], maxRows: number): readonly KernelVariant[] {
  const last = variants.findIndex((variant) => variant.maxRows >= maxRows);
  if (last < 0) throw new Error(`${variants[0]?.key ?? 'kernel'} has no variant for ${maxRows} rows`);
  return variants.slice(0, last + 1);
}

interface VariantRequest {
  readonly request: KernelRequest;
  readonly tileRows?: number;
}

function kernelRequests(op: KernelOp | SampleOp, program: Program, stage: RuntimeStage): VariantRequest[] {
  if (op.op === 'sample') {
    const cols = program.values.find((value) => value.id === op.logits)!.cols;
    return [
      { request: { kernel: 'sample', params: { cols, stride: activationStride(cols), vocab: op.vocab } } },
    ];
  }
  // The layer is an immediate, so that layers of one shape share a pipeline.
  const { layer: _layer, ...params } = op.params;
  const request = { kernel: op.kernel, params, ...(op.dtype === undefined ? {} : { dtype: op.dtype }) };
  if (op.kernel !== 'attention') return [{ request }];
  const sizes = stage.phases.includes('prefill') ? [1, ATTENTION_TILE_ROWS] : [1];
  return sizes.map((tileRows) => ({ request: { ...request, params: { ...params, tileRows } }, tileRows }));
}

/** What tells ranks and layers apart that share a pipeline. */
function immediatesOf(op: KernelOp | SampleOp, rank: RuntimeRank): readonly number[] {
  if (op.op === 'sample') return [vocabStart(op, rank)];
  const { split, vocabRows, layer, heads, rowHeads, pageHeads } = op.params;
  if (op.kernel === 'embed') return [split === 1 ? rank.tp * vocabRows! : 0];
  if (op.kernel === 'rope_append') return [layer!];
  if (op.kernel !== 'attention') return [];
  const shares = rowHeads !== undefined || pageHeads !== undefined;
  return shares ? [layer!, rank.tp * heads!] : [layer!];
}

function vocabStart(op: SampleOp, rank: RuntimeRank): number {
  return op.split === 'tp' ? rank.tp * op.vocabPerRank : 0;
}
