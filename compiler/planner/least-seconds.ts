/**
 * The arithmetic of `bound`: seconds that a demand takes at least on stages whose costs are known.
 *
 * Where one part of a bound ends and the next begins, nothing may be counted twice: what a device does is one sum, and
 * to it comes what must lie before the first thing it does, and behind the last.
 */
import type { TotalWork } from '../cost/least-cost.js';
import { countInCommon } from '../in-common.js';
import { leastPages, mostPages } from '../model/kv-window.js';
import type { Mesh } from '../plan/plan.js';
import {
  decodeSpans,
  decodeStep,
  later,
  leastOfAll,
  raised,
  type DecodeSpans,
  type Decoding,
  type DecodeStep,
} from './decode-spans.js';
import type { BoundedPlan, SharedGroups } from './bounded-plan.js';
import type { Demand } from './demand.js';
import { leastOfConvex } from './least-of-convex.js';
import { decodeWork, promptWork, rowsOfLongest, sum, type DecodeWork, type StageLoad } from './stage-load.js';

/** Seconds that the demand takes at least. `begun`: what is left of it, on devices that are at work already. */
export function leastSeconds(plan: BoundedPlan, demand: Demand, begun: boolean): number {
  const context = contextOf(plan, demand, begun);
  const after = (drops: number): number => busySeconds(context, afterDrops(demand, drops));
  const none = after(0);
  if (plan.evenly) return Math.max(none, chainSeconds(context));
  // Where KV that is dropped once does not lower a convex estimate, more often does not either.
  const busy = after(1) >= none ? none : leastOfConvex(after, demand.decodeRows);
  return Math.max(busy, chainSeconds(context));
}

/**
 * Lower bound in seconds for a stage on its own devices. `perDrop` is the change for each time a sequence's KV is
 * dropped and recomputed; it may be negative.
 */
export interface StageBound {
  readonly seconds: number;
  readonly perDrop: number;
  /** Seconds of the shortest step that yields a token. */
  readonly oneStep: number;
}

/**
 * The lower bound for a stage that has one phase and devices of its own.
 *
 * @param room KV pages of a replica
 */
export function leastOfStage(
  load: StageLoad,
  room: number,
  demand: Demand,
  overhead: BoundedPlan['overhead'],
): StageBound {
  const decodes = load.stage.phases.includes('decode');
  const decoding: Decoding = { decode: load, room, overhead };
  const aDecodeStep = decodes && decodeStep(decoding, demand, decodeWork(load, room, demand).inStep);
  const seconds = (drops: number): number => {
    const asked = afterDrops(demand, drops);
    if (!aDecodeStep) return Math.max(...load.costs.of(promptWork(load, asked)));
    const rows = decodeWork(load, room, asked);
    const spans = decodeSpans(decoding, asked, rows, aDecodeStep);
    const { fewestSteps, groups, inFlight, held, together } = spans;
    return leastOfAll(fewestSteps, [...groups, inFlight], [...held, ...together]);
  };
  const none = seconds(0);
  const oneStep = sum(decodes ? load.costs.rowsStep(1, demand.shortestPrompt) : shortestStep(load, demand));
  return { seconds: none, perDrop: seconds(1) - none, oneStep };
}

/**
 * Lower bound in seconds for prefill and decode side by side on devices of their own. Both bounds are convex in how
 * often KV is dropped, so that further drops save no more than the first.
 */
export function leastOfBoth(prefill: StageBound, decode: StageBound): number {
  const gap = decode.seconds - prefill.seconds;
  if (gap <= 0 || decode.perDrop >= 0) return Math.max(prefill.seconds, decode.seconds);
  const drops = gap / (prefill.perDrop - decode.perDrop);
  return prefill.seconds + drops * prefill.perDrop;
}

/**
 * Least seconds between two tokens: a token needs a decode step of its own, or the prefill of a sequence that lost its
 * KV. 0 where no answer has two.
 */
export function leastBetweenTokens({ overhead, prefill, decode }: BoundedPlan, demand: Demand): number {
  if (demand.decodeRows === 0) return 0;
  const row = sum(decode.costs.rowsStep(1, demand.shortestPrompt));
  return overhead.step + overhead.request + Math.min(row, sum(shortestStep(prefill, demand)));
}

/**
 * The demand when KV of sequences in decode is dropped `drops` times. It is computed again, of which the last row
 * yields a token that needs no decode row then. Estimates are convex in how often.
 */
function afterDrops(demand: Demand, drops: number): Demand {
  const { longest, longestOutput, shortestPrompt, kv } = demand;
  return {
    ...demand,
    // All of them may be of one.
    longestOutput: longestOutput - drops,
    requests: demand.requests + drops,
    promptTokens: demand.promptTokens + drops * (shortestPrompt + 1),
    promptPairs: demand.promptPairs + (drops * shortestPrompt * (shortestPrompt + 1)) / 2,
    decodeRows: Math.max(0, demand.decodeRows - drops),
    decodeKeys: Math.max(0, demand.decodeKeys - drops * longest),
    decodePages: Math.max(0, demand.decodePages - drops * mostPages(kv, longest, 1)),
  };
}

/**
 * Seconds before a device can start and after it has finished: one step on each pipeline stage, and moving one prompt's
 * KV out and in.
 */
interface Passing {
  /** By pipeline stage of prefill, the step of a first prompt; 0 where the devices are at work already. */
  readonly first: readonly number[];
  /** By pipeline stage of prefill, a step with the last token of a prompt; 0 without prompts. */
  readonly last: readonly number[];
  /** By pipeline stage of decode, a step with one row; 0 without decode. */
  readonly row: readonly number[];
  /** Moving a prompt's pages to the host tier. */
  readonly givingUp: HandedOver;
  /** Moving a prompt's pages from the host tier to the devices that decode. */
  readonly takingOver: HandedOver;
}

/**
 * Least seconds of moving the KV pages of the first prompt, all of them, and of the last, without those that it shares.
 */
interface HandedOver {
  readonly first: number;
  readonly last: number;
}

/** A plan with what is found once for a demand. */
interface Context extends BoundedPlan, Passing {
  readonly decodeStep: DecodeStep;
  /** The demand before any KV is dropped. */
  readonly demand: Demand;
  readonly begun: boolean;
}

function contextOf(plan: BoundedPlan, demand: Demand, begun: boolean): Context {
  const { inStep } = decodeWork(plan.decode, plan.room, demand);
  const step = decodeStep(plan, demand, inStep);
  return { ...plan, demand, begun, ...passing(plan, demand, begun), decodeStep: step };
}

function passing({ prefill, decode }: BoundedPlan, demand: Demand, begun: boolean): Passing {
  const { promptTokens, decodeRows, shortestPrompt, fewestPages, kv } = demand;
  const handing = (pageSeconds: readonly number[]): HandedOver => {
    const page = Math.min(...pageSeconds);
    return { first: page * leastPages(kv, shortestPrompt), last: page * fewestPages };
  };
  return {
    first: begun ? prefill.costs.none : shortestStep(prefill, demand),
    last: promptTokens > 0 ? prefill.costs.promptStep(1) : prefill.costs.none,
    row: decodeRows > 0 ? decode.costs.rowsStep(1, shortestPrompt) : decode.costs.none,
    givingUp: handing(prefill.out),
    takingOver: handing(decode.in),
  };
}

/**
 * Seconds of what must come one after the other: all prompts are prefilled, and the last of them has yet to be handed
 * over and to be decoded token by token. Some request has most tokens to go.
 */
function chainSeconds(context: Context): number {
  const { demand, prefill, first, last, givingUp, takingOver } = context;
  const between = leastBetweenTokens(context, demand);
  const longest = sum(first) + rowsOfLongest(demand) * between;
  if (demand.promptTokens === 0 || demand.shortestOutput < 2) return longest;
  const tokens = (demand.shortestOutput - 1) * between;
  const prompts = promptWork(prefill, demand);
  const [before, behind] = [sumsBefore(first), sumsBehind(last)];
  const passed = prefill.costs.of(prompts).map((seconds, pp) => before[pp]! + seconds + behind[pp]!);
  return Math.max(longest, Math.max(...passed) + givingUp.last + takingOver.last + tokens);
}

/** Seconds of what the busiest device, or the host, has to do; `begun` as above. */
export function busiestSeconds(plan: BoundedPlan, demand: Demand, begun: boolean): number {
  return busySeconds(contextOf(plan, demand, begun), demand);
}

function busySeconds(context: Context, demand: Demand): number {
  const { prefill, decode, shared, engine, takesTurns, begun, first, last, row } = context;
  const { dp } = prefill.stage.mesh;
  const prompts = promptWork(prefill, demand);
  const rows = decodeWork(decode, context.room, demand, context.evenly);
  const both = prefill === decode ? mixedWork(prefill, prompts, rows) : undefined;
  const prepared = { prompts: prompts.steps * dp, rows: rows.prepared };
  const steps = both
    ? Math.max(prepared.prompts, prepared.rows, (both.tokens * dp) / prefill.sizes.maxTokens)
    : prepared.prompts + prepared.rows;
  const spans = decodeSpans(context, demand, rows, context.decodeStep);
  const { fewestSteps, groups, inFlight } = spans;
  const curves = [...spans.held, ...spans.together];
  let least = Math.max(
    hostSeconds(context, demand, { ...prepared, all: steps }),
    leastOfAll(fewestSteps, [...groups, inFlight], curves),
  );
  const before = sumsBefore(first);
  const promptSeconds = prefill.costs.of(prompts);
  if (both) {
    const bothSeconds = prefill.costs.of(both);
    const decodeOnlySeconds = prefill.costs.of(decodeOnlyWork(decode, demand, rows));
    const seconds = promptSeconds.map((each, pp) =>
      Math.max(bothSeconds[pp]!, each + decodeOnlySeconds[pp]!),
    );
    // The host prepares the next step beside one that samples nothing, so that not all of its time comes on top.
    return Math.max(least, ...seconds.map((each, pp) => before[pp]! + each));
  }
  /** Beside exchanges pages move for nothing. */
  const moving = (page: number, { dp: replicas, tp }: Mesh): number =>
    begun || engine.copyEngines || tp > 1 ? 0 : (demand.decodingPages * page) / replicas;
  const behindPrompts = sumsBehind(last);
  const prefillSeconds = promptSeconds.map((seconds, pp) => {
    const computing = before[pp]! + seconds;
    const withMoves = computing + moving(prefill.out[pp]!, prefill.stage.mesh);
    // Behind its last step are those of the pipeline, behind its last page move they are not.
    least = Math.max(least, computing + behindPrompts[pp]!, withMoves);
    return withMoves;
  });
  const [beforeRow, behindRow] = [sumsBefore(row), sumsBehind(row)];
  const moves = decode.in.map((page) => moving(page, decode.stage.mesh));
  if (shared) {
    const prompting = promptSeconds.map((seconds, pp) => before[pp]! + seconds);
    const computing = groups.map(({ atFewest }, pp) => {
      const prefilling = Math.max(...shared[pp]!.map((at) => prefillSeconds[at]!));
      return prefilling + atFewest + behindRow[pp]! + moves[pp]!;
    });
    const inTurns = takesTurns ? inTurnsSeconds(context, demand, { spans, shared, prompting, behindRow }) : 0;
    return Math.max(least, inTurns, ...computing);
  }
  // Its first page move waits for a prompt, its first step for that move and for the pipeline as well.
  const waits = !begun && demand.decodeRows > 0;
  const beforeMove = waits ? sum(first) + context.givingUp.first : 0;
  const beforeStep = waits ? beforeMove + context.takingOver.first : 0;
  const lines = groups.map((line, pp) => {
    const moved = beforeMove + moves[pp]!;
    const reached = waits ? beforeStep + beforeRow[pp]! : 0;
    return later(line, Math.max(moved, reached) + behindRow[pp]!);
  });
  return Math.max(
    least,
    leastOfAll(
      fewestSteps,
      [...lines, later(inFlight, beforeStep)],
      curves.map((curve) => raised(curve, beforeStep)),
    ),
  );
}

/** Steps of all replicas: those with prompts, those with decode rows, and all together. */
interface PreparedSteps {
  readonly prompts: number;
  readonly rows: number;
  readonly all: number;
}

/**
 * Host seconds for these steps. Where every replica has its own, some host has as much as they have in the mean: of a
 * stage by itself, and of both where they are on the same devices.
 */
function hostSeconds(
  { prefill, decode, overhead }: BoundedPlan,
  { decodeRows }: Demand,
  { prompts, rows, all }: PreparedSteps,
): number {
  const { step, request, hostPerReplica = false } = overhead;
  const ofAll = all * step + decodeRows * request;
  if (!hostPerReplica) return ofAll;
  const [prefilling, decoding] = [prefill.stage.mesh.dp, decode.stage.mesh.dp];
  const together = countInCommon(prefill.stage.devices, decode.stage.devices) > 0;
  return Math.max(
    (prompts * step) / prefilling,
    (rows * step + decodeRows * request) / decoding,
    together ? ofAll / Math.max(prefilling, decoding) : 0,
  );
}

/** What is known of a plan whose stages take turns: where they share devices, and what lies around decode there. */
interface Turns {
  readonly spans: DecodeSpans;
  /** By pipeline stage of decode. */
  readonly shared: SharedGroups;
  readonly behindRow: readonly number[];
  /** By pipeline stage of prefill, with what lies before. */
  readonly prompting: readonly number[];
}

/**
 * Least seconds of prompts and decode one after the other on a device that has a part of both, in any number of turns.
 *
 * The device decodes in windows, each from its first step of decode to its last before it runs prompts again. A step is in
 * flight outside of its window while it is prepared and while other groups of its pipeline run it, and what is in flight
 * at the beginning of a window, or at its end, is no more than ever is: a window is shorter by no more than a full step
 * takes the host and the other groups. Between two windows a step of prefill comes to the device, which passes the
 * pipeline stages before it that share the group: each of their devices decodes up to the end of the window. Where that takes as
 * long as what a window is shorter by, more windows make nothing quicker; else there are no more than steps of prefill,
 * each of which ends a prompt or is full.
 */
function inTurnsSeconds(context: Context, demand: Demand, turns: Turns): number {
  const { prefill, last } = context;
  const { spans, shared, behindRow, prompting } = turns;
  const { full } = context.decodeStep;
  const { dp } = prefill.stage.mesh;
  // What all replicas have together says nothing of the windows of one.
  const curves = dp === 1 ? [...spans.held, ...spans.together] : spans.held;
  const refills = (demand.requests + demand.promptTokens / prefill.sizes.maxTokens) / dp;
  const aStep = full.preparing + sum(full.groups);
  const seconds = spans.groups.flatMap((line, pp) => {
    const outside = aStep - full.groups[pp]!;
    return shared[pp]!.map((at) => {
      const refilling = sum(shared[pp]!.map((before) => (before < at ? last[before]! : 0)));
      const lost = outside + Math.max(0, outside - refilling) * refills;
      const windows = leastOfAll(
        spans.fewestSteps,
        [line, later(spans.inFlight, -lost)],
        curves.map((curve) => raised(curve, -lost)),
      );
      return prompting[at]! + windows + behindRow[pp]!;
    });
  });
  return Math.max(...seconds);
}

/** Of every value the sum of those before it. */
function sumsBefore(values: readonly number[]): readonly number[] {
  let total = 0;
  return values.map((each) => (total += each) - each);
}

/** Of every value the sum of those behind it. */
function sumsBehind(values: readonly number[]): readonly number[] {
  return sumsBefore(values.toReversed()).toReversed();
}

/** Seconds by pipeline stage of a step with all of the shortest prompt, or as much as it may carry. */
const shortestStep = ({ costs, sizes }: StageLoad, { shortestPrompt }: Demand): readonly number[] =>
  costs.promptStep(Math.min(sizes.maxTokens, shortestPrompt));

/** The work of a stage for both phases, whose steps may carry prompt tokens and decode rows at once. */
function mixedWork({ sizes }: StageLoad, prompts: TotalWork, rows: TotalWork): TotalWork {
  const tokens = prompts.tokens + rows.tokens;
  return {
    steps: Math.max(prompts.steps, rows.steps, tokens / sizes.maxTokens),
    sampling: rows.sampling,
    tokens,
    samples: rows.samples,
    pairs: prompts.pairs + rows.pairs,
    keys: prompts.keys + rows.keys,
  };
}

/**
 * What is left of decode in a fused stage for steps without prompt tokens. A step with some ends a prompt or is full, so
 * there are no more of them than that; decode rows in them are taken to be free.
 */
function decodeOnlyWork({ stage, sizes }: StageLoad, demand: Demand, rows: DecodeWork): TotalWork {
  const full = Math.max(1, sizes.maxTokens - rows.inStep);
  const mixed = (demand.requests + demand.promptTokens / full) / stage.mesh.dp;
  const steps = Math.max(0, rows.steps - mixed);
  const tokens = Math.max(0, rows.tokens - mixed * rows.inStep);
  const keys = Math.max(0, rows.keys - mixed * rows.inStep * demand.longest);
  return { steps, sampling: steps, tokens, samples: tokens, pairs: keys, keys };
}
