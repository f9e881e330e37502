/** The sampled rows of a step: what is changed about their logits, and which tokens come of what the ranks report. */
import type { RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import { activationStride } from '../../compiler/ir/device-layout.js';
import { adjustmentBytes } from '../../compiler/passes/step-sizes.js';
import type { DeviceBuffer } from '../device/device.js';
import { timed } from '../exec/host-time.js';
import type { HostTime } from '../exec/host-time.js';
import type { Rank } from '../exec/rank.js';
import type { StepArgs } from '../exec/step-args.js';
import { SAMPLE_WORDS } from '../kernels/kernel.js';
import type { LogitAdjuster } from '../sampling/adjust.js';
import { choose, chooseFromLogits, type NotFinite } from '../sampling/choose.js';
import { packAdjustments } from '../sampling/step-adjustments.js';
import { HOST } from '../trace/tracer.js';
import type { Tracer } from '../trace/tracer.js';
import type { EngineRequest, GeneratedToken } from './types.js';

/** A sequence whose next token a step samples. */
export interface SampledSequence {
  readonly request: EngineRequest;
  /** Prompt, then what was generated. */
  readonly tokens: readonly number[];
  readonly adjuster?: LogitAdjuster;
}

/** Adds what the sequences of the sampled rows, in order, change about their logits. */
export function withAdjustments(
  args: StepArgs,
  sampling: readonly SampledSequence[],
  vocab: number,
  maxSequences: number,
): StepArgs {
  const changed = sampling.flatMap(({ request, adjuster }, row) =>
    adjuster === undefined && request.constraint === undefined
      ? []
      : [
          {
            row,
            adjustments: adjuster?.adjustments() ?? [],
            ...(request.constraint === undefined ? {} : { mask: request.constraint.mask() }),
          },
        ],
  );
  const turns = packAdjustments(changed, vocab, adjustmentBytes(maxSequences, vocab));
  if (turns.length === 0) return args;
  const wantsPlain = changed.some(({ row }) => wantsLogprobs(sampling[row]!));
  return { ...args, adjustments: { turns, wantsPlain } };
}

function wantsLogprobs({ request }: SampledSequence): boolean {
  return request.sampling.logprobs || request.sampling.topLogprobs > 0;
}

/** A step of which tokens are read. */
interface SampledStep {
  readonly stage: RuntimeStage;
  readonly args: StepArgs;
  /** By sampled row the sequence that gets its token. */
  readonly sampled: readonly SampledSequence[];
  /** What the host takes for it is counted here. */
  readonly host: HostTime;
  readonly tracer: Tracer;
}

/** Reads what the sample kernels of the last pipeline stage report and turns it into one token per sampled row. */
export async function readTokens(
  ranks: readonly Rank[],
  { stage, args, sampled, host, tracer }: SampledStep,
): Promise<readonly (GeneratedToken | NotFinite)[]> {
  const rows = args.sampleCount;
  if (rows === 0) return [];
  const program = stage.programs[ranks[0]!.rank.program]!;
  const op = program.ops.find((candidate) => candidate.op === 'sample')!;
  const reporting = op.split === 'tp' ? ranks : ranks.slice(0, 1);
  const reportsIn = (buffer: (rank: Rank) => DeviceBuffer): Promise<readonly Uint8Array[]> =>
    Promise.all(
      reporting.map(async (rank) => {
        const range = { buffer: buffer(rank), offset: 0, bytes: rows * SAMPLE_WORDS * 4 };
        return (await rank.device.read([range]))[0]!;
      }),
    );
  const [reports, plainReports] = await Promise.all([
    reportsIn((rank) => rank.sampleOutput!),
    args.adjustments?.wantsPlain ? reportsIn((rank) => rank.adjuster!.plainOutput) : undefined,
  ]);
  const stride = activationStride(program.values.find((value) => value.id === op.logits)!.cols);
  const fullRow = async (row: number): Promise<Float32Array> => {
    const logits = new Float32Array(op.vocab);
    await Promise.all(
      reporting.map(async (rank, i) => {
        const range = { buffer: rank.valueBuffer(op.logits), offset: row * stride * 4, bytes: stride * 4 };
        const part = new Float32Array((await rank.device.read([range]))[0]!.buffer);
        const first = i * op.vocabPerRank;
        const held = op.split === 'tp' ? op.vocabPerRank : op.vocab;
        const real = Math.max(0, Math.min(held, op.vocab - first));
        logits.set(part.subarray(0, real), first);
      }),
    );
    return logits;
  };
  const choosing = tracer.begin(HOST.sample, 'sample', { rows, origin: stage.origin });
  const chosen = await Promise.all(
    sampled.map(async (sequence, row) => {
      const { request, tokens, adjuster } = sequence;
      const isPlain = adjuster === undefined && request.constraint === undefined;
      const plain =
        plainReports === undefined || isPlain || !wantsLogprobs(sequence)
          ? undefined
          : { reports: plainReports, row, original: adjuster?.original ?? unchanged };
      if (request.onLogits !== undefined) request.onLogits(await fullRow(row));
      const position = tokens.length;
      const decided = timed(host, 'sample', () => choose(reports, row, request.sampling, position, plain));
      if (decided !== 'needs_logits') return decided;
      const logits = await fullRow(row);
      return timed(host, 'sample', () => chooseFromLogits(logits, request.sampling, position, plain));
    }),
  );
  choosing.end();
  return chosen;
}

/** A mask leaves the logits of the tokens that it allows as they are. */
function unchanged(_id: number, logit: number): number {
  return logit;
}
