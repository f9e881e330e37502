/**
 * A stage at work: pipeline stages in a row, each a group of tp ranks in lockstep, each taking its microbatches in
 * order. Several steps may be under way, one per pipeline stage; a step's activations wait in host memory between two.
 * Where another stage has the same devices, steps of both take turns on them: two that alternate, exchange by exchange,
 * would both get to the next pipeline stage late, which has nothing to do meanwhile.
 * While weights are on their way a group goes as far as they have arrived on all its ranks.
 */
import type { RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type {
  CollectiveRuntimeOp,
  Program,
  ProgramValue,
  RecvOp,
  SendOp,
} from '../../compiler/ir/runtime-program.js';
import { activationStride } from '../../compiler/ir/device-layout.js';
import { sideBySide, sumInRankOrder } from './exchange.js';
import { createFifo } from './fifo.js';
import type { Fifo, Fifos } from './fifo.js';
import { timed } from './host-time.js';
import type { HostTime } from './host-time.js';
import type { Passage, Passages } from './passages.js';
import type { Rank } from './rank.js';
import { deviceLane, together } from '../trace/tracer.js';
import type { Slice, TraceArgs, Tracer } from '../trace/tracer.js';
import type { StepArgs } from './step-args.js';

/** Bytes that crossed between ranks. */
export interface Traffic {
  allReduce: number;
  allGather: number;
  send: number;
}

/** Called with the last pipeline stage's tp ranks while their logits are still in place. */
export type ReadSamples<T> = (ranks: readonly Rank[], args: StepArgs) => Promise<T>;

export interface Pipeline {
  /**
   * Runs one step of a replica through all pipeline stages. It enters the passages of its devices at once, in the
   * order of calls. What it costs the host is added to `host`.
   */
  step<T>(
    replica: number,
    args: StepArgs,
    label: StepLabel,
    readSamples: ReadSamples<T>,
    host: HostTime,
  ): Promise<T>;
}

/** How a step appears in a trace. */
export interface StepLabel {
  readonly name: string;
  readonly args: TraceArgs;
  /** Requests whose path leads through this step. */
  readonly requests: readonly number[];
}

/** What each rank sends to its neighbour of the next pipeline stage. */
type Message = readonly Uint8Array[];

interface TpGroup {
  readonly program: Program;
  readonly ranks: readonly Rank[];
  readonly turn: Fifo;
}

/** What a pipeline shares with the others. */
export interface PipelineContext {
  readonly traffic: Traffic;
  readonly passages: Passages;
  /** Devices by number, which stages of one residence share: a step has those of a group until the host is done with it there. */
  readonly turns: Fifos<number>;
  /** Of the stage. */
  readonly residence: string;
  /** Called when kernels begin to run; the result is called when they are done, maybe twice. */
  readonly computing: () => () => void;
  readonly tracer: Tracer;
  /** Name of a device by its id. */
  readonly pathOf: (device: number) => string;
}

/** Groups the ranks of a stage by replica and pipeline stage. */
export function createPipeline(
  stage: RuntimeStage,
  ranks: readonly Rank[],
  context: PipelineContext,
): Pipeline {
  const groups: TpGroup[][] = Array.from({ length: stage.mesh.dp }, (_, dp) =>
    stage.programs.map((program, pp) => ({
      program,
      ranks: ranks
        .filter(({ rank }) => rank.dp === dp && rank.pp === pp)
        .sort((a, b) => a.rank.tp - b.rank.tp),
      turn: createFifo(),
    })),
  );
  return {
    async step(replica, args, label, readSamples, host) {
      const chain = groups[replica]!;
      const { passages, turns, residence } = context;
      // Steps of another residence given out before this one still have their values in the workspace.
      const before = chain.map((group) =>
        group.ranks.flatMap(({ rank }) => passages.clearedOfOthers(rank.device, residence) ?? []),
      );
      const entered = chain.map((group) =>
        group.ranks.map(({ rank, uses }) => passages.enter(rank.device, residence, uses)),
      );
      const pass = async <R>(at: number, work: (slice: Slice) => Promise<R>): Promise<R> => {
        await Promise.all(before[at]!);
        const devices = chain[at]!.ranks.map(({ rank }) => rank.device);
        return turns.run(devices, async () => {
          const slice = sliceOf(chain[at]!, label, context);
          if (at === 0) for (const request of label.requests) slice.flow('through', request);
          try {
            return await work(slice);
          } finally {
            slice.end();
          }
        });
      };
      const relay = async (upTo: number): Promise<Message | undefined> => {
        const received = upTo === 0 ? undefined : await relay(upTo - 1);
        return chain[upTo]!.turn.run(async () => {
          const sent = await pass(upTo, (slice) =>
            runGroup(chain[upTo]!, args, received, entered[upTo]!, context, host, slice),
          );
          for (const passage of entered[upTo]!) passage.leave();
          return sent;
        });
      };
      try {
        const message = chain.length === 1 ? undefined : await relay(chain.length - 2);
        const last = chain.at(-1)!;
        return await last.turn.run(async () => {
          try {
            return await pass(chain.length - 1, async (slice) => {
              let begun: Slice | undefined;
              const read = (): Slice => (begun ??= slice.child('read samples', { origin: stage.origin }));
              await runGroup(last, args, message, entered.at(-1)!, context, host, slice, read);
              const computed = context.computing();
              const reading = read();
              try {
                return await readSamples(last.ranks, args);
              } finally {
                reading.end();
                computed();
              }
            });
          } finally {
            for (const passage of entered.at(-1)!) passage.leave();
          }
        });
      } finally {
        for (const passage of entered.flat()) passage.leave();
      }
    },
  };
}

/** A slice of the step on every rank of a group. */
function sliceOf({ ranks }: TpGroup, label: StepLabel, { tracer, pathOf }: PipelineContext): Slice {
  return together(
    ranks.map(({ rank }) =>
      tracer.begin(deviceLane(pathOf(rank.device), 'queue'), label.name, {
        ...label.args,
        rank: rank.rank,
        pp: rank.pp,
        tp: rank.tp,
      }),
    ),
  );
}

/**
 * Runs the program of one tp group. Kernels between two exchanges are one submit per rank; a collective reads the
 * values of all ranks, adds them up or lays them side by side, in rank order, and writes the result to each.
 *
 * @param sampling called before the kernels whose samples are read are recorded, unless the trace tells them apart
 * @returns the bytes each rank sends to the next pipeline stage, if any
 */
async function runGroup(
  group: TpGroup,
  args: StepArgs,
  received: Message | undefined,
  passages: readonly Passage[],
  context: PipelineContext,
  host: HostTime,
  slice: Slice,
  sampling?: () => void,
): Promise<Message | undefined> {
  const { program, ranks } = group;
  const { traffic } = context;
  let sent: Message | undefined;
  let pending = 0;
  const submit = (end: number): void => {
    const first = pending;
    if (end > first) {
      for (const rank of ranks) {
        const encoded = host.encode;
        timed(host, 'submit', () =>
          rank.device.record((commands) =>
            timed(host, 'encode', () => rank.record(commands, first, end, args)),
          ),
        );
        // Recording lies within the submit.
        host.submit -= host.encode - encoded;
      }
      for (const passage of passages) passage.advance(end);
    }
    pending = end;
  };
  const exchange = async (op: CollectiveRuntimeOp | SendOp | RecvOp): Promise<void> => {
    const read = (): Promise<Uint8Array[]> => readValue(program, ranks, op.value, args);
    // Each rank gives its part away once and takes the result once.
    const carried = (parts: readonly Uint8Array[], result: Uint8Array): number =>
      parts.reduce((sum, part) => sum + part.byteLength + result.byteLength, 0);
    if (op.op === 'recv') {
      if (received === undefined) throw new Error('a recv without a message');
      timed(host, 'exchange', () =>
        ranks.forEach((rank, i) => rank.device.write(rank.valueBuffer(op.value), 0, received[i]!)),
      );
    } else if (op.op === 'send') {
      sent = await read();
      for (const part of sent) traffic.send += part.byteLength;
    } else {
      const parts = await read();
      timed(host, 'exchange', () => {
        const result =
          op.kind === 'all_reduce'
            ? sumInRankOrder(parts)
            : sideBySide(parts, colsOf(program, op.value), colsOf(program, op.out));
        const target = op.kind === 'all_reduce' ? op.value : op.out;
        for (const rank of ranks) rank.device.write(rank.valueBuffer(target), 0, result);
        traffic[op.kind === 'all_reduce' ? 'allReduce' : 'allGather'] += carried(parts, result);
      });
    }
  };
  /** Submits what comes before an op and lets it end, where the trace is to tell it from the exchange behind it. */
  const apart = async (end: number): Promise<void> => {
    if (end === pending) return;
    const kernels = slice.child('kernels', { op: pending, origin: program.ops[pending]!.origin });
    submit(end);
    await Promise.all(ranks.map((rank) => rank.device.idle()));
    kernels.end();
  };
  let computed = context.computing();
  const overtaken: Promise<unknown>[] = [];
  try {
    timed(host, 'submit', () => {
      for (const rank of ranks) {
        rank.writeArgs(args);
        if (args.copies.length > 0) rank.device.record((commands) => rank.copyPages(commands, args));
      }
    });
    for (const [index, op] of program.ops.entries()) {
      const awaited = ranks.flatMap((rank) => rank.arrival(index) ?? []);
      if (awaited.length > 0) {
        submit(index);
        const idle = Promise.all(ranks.map((rank) => rank.device.idle())).finally(computed);
        // Its failure is reported at the end, by when it is long settled.
        idle.catch(() => undefined);
        overtaken.push(idle);
        const waiting = slice.child('wait for weights', { op: index, origin: op.origin });
        await Promise.all(awaited);
        waiting.end();
        computed = context.computing();
      }
      if (op.op === 'sample' && !context.tracer.apart) sampling?.();
      if (op.op === 'sample' && args.adjustments !== undefined) {
        submit(index);
        for (const rank of ranks) rank.adjuster?.apply(args);
      }
      if (op.op === 'kernel' || op.op === 'sample') continue;
      if (context.tracer.apart && op.op !== 'recv') await apart(index);
      // Handing over the kernels before it is part of it, as it is part of them where they have a slice.
      const exchanging = slice.child(op.op === 'collective' ? `${op.kind} ${op.axis}` : op.op, {
        op: index,
        origin: op.origin,
      });
      submit(index);
      pending = index + 1;
      await exchange(op);
      exchanging.end();
    }
    if (context.tracer.apart) await apart(program.ops.length);
    submit(program.ops.length);
    await Promise.all(overtaken);
    return sent;
  } finally {
    computed();
  }
}

async function readValue(
  program: Program,
  ranks: readonly Rank[],
  id: number,
  args: StepArgs,
): Promise<Uint8Array[]> {
  const value = valueNamed(program, id);
  const rows = value.rows === 'tokens' ? args.rowCount : args.sampleCount;
  const bytes = rows * activationStride(value.cols) * 4;
  const parts = await Promise.all(
    ranks.map((rank) => rank.device.read([{ buffer: rank.valueBuffer(id), offset: 0, bytes }])),
  );
  return parts.map((part) => part[0]!);
}

function valueNamed(program: Program, id: number): ProgramValue {
  return program.values.find((candidate) => candidate.id === id)!;
}

function colsOf(program: Program, id: number): number {
  return valueNamed(program, id).cols;
}
