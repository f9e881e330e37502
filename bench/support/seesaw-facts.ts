/**
 * What was measured of engines on four L4, beside what the model predicts: LLaMA3-15B, one independent run of the
 * authors' artifact and of vLLM 0.5.4 with arxiv's lengths. Nothing is fitted to it but the bandwidths that
 * plans/seesaw/machines.plan takes from there (`fromHere`).
 */
import { resolve } from 'node:path';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan } from '../../compiler/compile.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  type Strategy,
} from '../../compiler/planner/candidates.js';
import { simulate } from '../../runtime/clock/simulate.js';
import type { SimulatedRequest, SimulateOptions, Simulation } from '../../runtime/clock/simulation.js';
import { fileHost } from '../../runtime/file-host.js';
import { ALL_EFFECTS, engineWith } from './seesaw-engines.js';

export interface Fact {
  readonly what: string;
  readonly unit: string;
  readonly measured: number;
  readonly predicted: number;
  /** Whether a constant of the machine was derived from this measurement, so that it says little. */
  readonly fromHere: boolean;
}

/** Mean of the prompts of that run. */
const PROMPT = 2620;
const CONTEXT_STEPS = 64;

const ENGINE = engineWith({ ...ALL_EFFECTS, pipeline: false });

interface Prepared {
  readonly run: (requests: readonly SimulatedRequest[], options?: SimulateOptions) => Simulation;
  /** Tokens of KV that the devices have room for. */
  readonly room: number;
}

function prepare(strategy: Strategy, label: string, microbatchTokens: number): Prepared {
  const { plans } = checkFile(fileHost(), resolve('plans/seesaw/l4.plan'));
  const base = plans.find(({ name }) => name === 'm15b')!;
  const sizes = { microbatchTokens: [microbatchTokens], batchRequests: [256] };
  const plan = candidatePlan(
    findCandidates(base, [strategy], sizes).find((each) => candidateLabel(each) === label)!,
  );
  const { runtime } = compilePlan(plan, { verify: false });
  return {
    run: (requests, options) => simulate(runtime, plan, requests, { engine: ENGINE, ...options }),
    room: runtime.pools[0]!.pages * runtime.kv.pageTokens,
  };
}

function same(count: number, outputTokens: number): readonly SimulatedRequest[] {
  return Array.from({ length: count }, () => ({ promptTokens: PROMPT, outputTokens }));
}

/** Prompt tokens per second of many prompts with one token each. */
function prefillRate({ run }: Prepared): number {
  const { tokens, makespan } = run(same(200, 1));
  return tokens.prompt / makespan;
}

/** Seconds of a decode step of so many sequences, behind prompts of that length. */
function decodeStep({ run }: Prepared, batch: number): number {
  const seconds = (tokens: number): number => run(same(batch, tokens)).makespan;
  return (seconds(CONTEXT_STEPS + 1) - seconds(1)) / CONTEXT_STEPS;
}

/** Seconds in which all weights of the next stage are loaded, the devices being idle. */
function reload({ run }: Prepared): number {
  const { transitions } = run(same(1, 2), {
    engine: { ...ENGINE, fullReload: true },
    transitions: 'barrier',
  });
  return transitions.seconds / transitions.count;
}

/** The measurements, each with its prediction. */
export function seesawFacts(): readonly Fact[] {
  const resharded = prepare('re-sharded', '(pp: 4) -> (tp: 4)', 4096);
  const back = prepare('re-sharded', '(tp: 4) -> (pp: 4)', 4096);
  const tensor = prepare('fused', '(tp: 4)', 2048);
  const fact = (what: string, unit: string, measured: number, predicted: number, fromHere = false): Fact => ({
    what,
    unit,
    measured,
    predicted,
    fromHere,
  });
  return [
    fact('prefill with pp 4', 'tokens/s', 6052, prefillRate(resharded)),
    fact('prefill with tp 4, chunks of 2048', 'tokens/s', 2430, prefillRate(tensor), true),
    fact('weights from pp 4 to tp 4', 's', 0.75, reload(resharded), true),
    fact('weights from tp 4 to pp 4', 's', 0.65, reload(back), true),
    fact('decode step with tp 4, 1 sequence', 's', 0.046, decodeStep(tensor, 1)),
    fact('decode step with tp 4, 4 sequences', 's', 0.046, decodeStep(tensor, 4)),
    fact('decode step with tp 4, 10 sequences', 's', 0.048, decodeStep(tensor, 10)),
    fact('decode step with tp 4, 20 sequences', 's', 0.063, decodeStep(tensor, 20)),
    fact('KV room with tp 4', 'tokens', 186_304, tensor.room),
  ];
}
