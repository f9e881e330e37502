/** One step: its arguments made, its pass through the pipeline, and what it yields handed to the requests. */
import { timed } from '../exec/host-time.js';
import type { HostTime } from '../exec/host-time.js';
import { buildStepArgs } from '../exec/step-args.js';
import type { StepArgs } from '../exec/step-args.js';
import { sampleMode } from '../sampling/choose.js';
import type { ActionOf, StepItem } from '../scheduler/types.js';
import { HOST } from '../trace/tracer.js';
import type { EngineParts } from './parts.js';
import { readTokens, withAdjustments } from './sample-rows.js';
import { finishRows, promptRows } from './sequence.js';
import type { Sequence } from './sequence.js';
import { beginRows, labelOf, prefillRows } from './trace-work.js';

/** A part of a step with the sequence it is of. */
interface StepRow {
  readonly item: StepItem;
  readonly sequence: Sequence;
}

/** What came of a step. */
export interface StepOutcome {
  /** Whether it computed prompt tokens. */
  readonly prefill: boolean;
  readonly sampled: readonly { readonly sequence: number; readonly finished: boolean }[];
}

/** Runs a step; resolves when every token it yields has been handed to its request. */
export async function runStep(action: ActionOf<'step'>, parts: EngineParts): Promise<StepOutcome> {
  const { prepared, sequences, tally, tracer } = parts;
  const { stage, pipeline } = prepared.stages.get(action.stage)!;
  const rows = action.items.map((item) => ({ item, sequence: sequences.get(item.sequence) }));
  const rowsOfPrompts = prefillRows(action.items, (id) => sequences.get(id).promptTokens);
  const prefill = rowsOfPrompts > 0;
  const kind = prefill ? 'prefill' : 'decode';
  const host = tally.host[kind];
  const sampling = rows.filter(({ item }) => item.sample);
  const sampled = sampling.map(({ sequence }) => sequence);
  const args = encode(action, rows, sampled, host, parts);
  const reused = rows.reduce((sum, { item, sequence }) => sum + beginRows(sequence, item), 0);
  const label = labelOf(action, stage, rowsOfPrompts, entering(action.stage, rows), reused);
  tally.clocks[kind].begin();
  const step = { stage, args, sampled, host, tracer };
  const chosen = await pipeline
    .step(action.replica, args, label, (ranks) => readTokens(ranks, step), host)
    .finally(() => tally.clocks[kind].end());
  tally.steps[kind]++;
  for (const { item, sequence } of rows) {
    tally.tokens.computed += promptRows(sequence, item);
    tally.tokens.prompt += finishRows(sequence, item);
  }
  return {
    prefill,
    sampled: sampling.map(({ item: { sequence } }, i) => {
      tally.tokens.generated++;
      return { sequence, finished: sequences.deliver(sequence, chosen[i]!) };
    }),
  };
}

/** The arguments of a step, with what the sampled sequences change about their logits. */
function encode(
  action: ActionOf<'step'>,
  rows: readonly StepRow[],
  sampled: readonly Sequence[],
  host: HostTime,
  { graph, prepared, tracer }: EngineParts,
): StepArgs {
  const { stage, layout } = prepared.stages.get(action.stage)!;
  const sequences = new Map(rows.map(({ item, sequence }) => [item.sequence, sequence]));
  const slice = tracer.begin(HOST.encode, 'encode', { step: action.id, origin: stage.origin });
  const args = timed(host, 'encode', () => {
    const plain = buildStepArgs(
      layout,
      action.items,
      graph.kv.pageTokens,
      (id, position) => sequences.get(id)!.tokens[position]!,
      (id) => {
        const { request, tokens } = sequences.get(id)!;
        const { seed, temperature } = request.sampling;
        return { mode: sampleMode(request.sampling), seed, temperature, position: tokens.length };
      },
    );
    return withAdjustments(plain, sampled, graph.model.shape.vocab, stage.maxSequences);
  });
  slice.end({ rows: args.rowCount });
  return args;
}

/** Sequences whose first step of the stage this is. */
function entering(stage: string, rows: readonly StepRow[]): readonly number[] {
  return rows.flatMap(({ item, sequence }) => {
    if (sequence.stage === stage) return [];
    sequence.stage = stage;
    return [item.sequence];
  });
}
