/**
 * The arithmetic of `bound`: seconds that a demand takes at least on stages whose costs are known.
 *
 * Where one part of a bound ends and the next begins, nothing may be counted twice: what a device does is one sum, and
 * to it comes what must lie before the first thing it does, and behind the last.
 */
import type { EngineModel } from '../cost/engine-model.js';
import type { LeastCost, TotalWork } from '../cost/least-cost.js';
import { leastPages, mostPages } from '../model/kv-window.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { Demand } from './demand.js';
import { leastOfConvex } from './least-of-convex.js';
import type { StageOutline } from './stage-outline.js';

/** Seconds for each page and each sequence that a rank moves to the host tier or back. */
export interface PageCost {
  readonly page: number;
  readonly sequence: number;
}

export interface StageLoad {
  readonly stage: Stage;
  readonly sizes: StageOutline['sizes'];
  /** By pipeline stage: the kinds of groups there are among the replicas. */
  readonly groups: readonly (readonly LeastCost[])[];
  readonly out: readonly PageCost[];
  readonly in: readonly PageCost[];
}

/** A plan with one stage for each phase, or one for both. */
export interface BoundedPlan {
  readonly overhead: Pick<Plan['topology']['overhead'], 'step' | 'request'>;
  readonly prefill: StageLoad;
  readonly decode: StageLoad;
  /** KV pages of a replica where it decodes. */
  readonly room: number;
  /** The stages are sure not to be resident at once: none runs a step while the devices are the other's. */
  readonly takesTurns: boolean;
  /** For estimates: the rows of a step hold their share of the pages, however many steps are in flight. */
  readonly evenly?: boolean;
  readonly engine: EngineModel;
}

/** Seconds that the demand takes at least. `begun`: what is left of it, on devices that are at work already. */
export function leastSeconds(plan: BoundedPlan, demand: Demand, begun: boolean): number {
  const context = { ...plan, demand, begun, ...passing(plan, demand, begun) };
  const after = (drops: number): number => busySeconds(context, afterDrops(demand, drops));
  const none = after(0);
  // Where KV that is dropped once does not lower a convex estimate, more often does not either.
  const busy = after(1) >= none ? none : leastOfConvex(after, demand.decodeRows);
  return Math.max(busy, chainSeconds(context));
}

/** What a stage with devices of its own takes at least: with KV never dropped, and more or less with each time it is. */
export interface StageBound {
  readonly seconds: number;
  readonly perDrop: number;
  /** A step that yields one token. */
  readonly oneStep: number;
  /** The tokens of a last request, in steps that are full. */
  readonly tail: number;
}

/** @param room KV pages of a replica */
export function leastOfStage(load: StageLoad, room: number, demand: Demand): StageBound {
  const decodes = load.stage.phases.includes('decode');
  const work = (drops: number): TotalWork => {
    const asked = afterDrops(demand, drops);
    return decodes ? decodeWork(load, room, asked) : promptWork(load, asked);
  };
  const seconds = (drops: number): number => Math.max(...byPlace(load, work(drops)));
  const none = seconds(0);
  const step = decodes ? rowStep(demand.shortestPrompt) : shortestStep(load, demand);
  const oneStep = sum(byPlace(load, step));
  return {
    seconds: none,
    perDrop: seconds(1) - none,
    oneStep,
    tail: decodes ? tailSeconds(load, room, demand) : 0,
  };
}

/**
 * Seconds that the demand may well take where the stages do not take turns: all of the work, and behind it the tokens of
 * a last request while the devices still decode others.
 */
export function likelySeconds(plan: BoundedPlan, demand: Demand): number {
  const context = { ...plan, demand, begun: false, ...passing(plan, demand, false) };
  return busySeconds(context, demand) + tailSeconds(plan.decode, plan.room, demand);
}

function tailSeconds(decode: StageLoad, room: number, demand: Demand): number {
  const { decodeRows, decodeKeys, longestOutput } = demand;
  if (decodeRows === 0) return 0;
  const rows = decodeWork(decode, room, demand).inStep;
  const keys = (rows * decodeKeys) / decodeRows;
  const step = { steps: 1, sampling: 1, tokens: rows, samples: rows, pairs: keys, keys };
  return (longestOutput - 1) * sum(byPlace(decode, step));
}

/** Of prefill and decode side by side. Both are convex in how often KV is dropped, so that no more is lost than at first. */
export function leastOfBoth(prefill: StageBound, decode: StageBound): number {
  const gap = decode.seconds - prefill.seconds;
  if (gap <= 0 || decode.perDrop >= 0) return Math.max(prefill.seconds, decode.seconds);
  const drops = gap / (prefill.perDrop - decode.perDrop);
  return prefill.seconds + drops * prefill.perDrop;
}

/** A token needs a decode step of its own, or the prefill of a sequence that lost its KV. */
export function leastBetweenTokens({ overhead, prefill, decode }: BoundedPlan, demand: Demand): number {
  const { shortestPrompt } = demand;
  const again = shortestStep(prefill, demand);
  const through = (load: StageLoad, work: TotalWork): number => sum(byPlace(load, work));
  const step = Math.min(through(decode, rowStep(shortestPrompt)), through(prefill, again));
  return overhead.step + overhead.request + step;
}

/**
 * The demand when KV of sequences in decode is dropped so often. It is computed again, of which the last row yields a
 * token that needs no decode row then. Estimates are convex in how often.
 */
function afterDrops(demand: Demand, drops: number): Demand {
  const { longest, shortestPrompt, kv } = demand;
  return {
    ...demand,
    requests: demand.requests + drops,
    promptTokens: demand.promptTokens + drops * (shortestPrompt + 1),
    promptPairs: demand.promptPairs + (drops * shortestPrompt * (shortestPrompt + 1)) / 2,
    decodeRows: Math.max(0, demand.decodeRows - drops),
    decodeKeys: Math.max(0, demand.decodeKeys - drops * longest),
    decodePages: Math.max(0, demand.decodePages - drops * mostPages(kv, longest, 1)),
  };
}

/** Seconds of single steps by pipeline stage, and of handing a prompt over: what lies before and behind a device's work. */
interface Passing {
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly row: readonly number[];
  readonly givingUp: number;
  readonly takingOver: number;
}

interface Context extends BoundedPlan, Passing {
  /** Before anything is dropped. */
  readonly demand: Demand;
  readonly begun: boolean;
}

function passing({ prefill, decode }: BoundedPlan, demand: Demand, begun: boolean): Passing {
  const { promptTokens, decodeRows, shortestPrompt, kv } = demand;
  const step = (load: StageLoad, is: boolean, work: TotalWork): readonly number[] =>
    is ? byPlace(load, work) : load.groups.map(() => 0);
  const handing = (costs: readonly PageCost[]): number =>
    Math.min(...costs.map(({ page, sequence }) => page * leastPages(kv, shortestPrompt) + sequence));
  return {
    first: step(prefill, !begun, shortestStep(prefill, demand)),
    last: step(prefill, promptTokens > 0, promptStep(1)),
    row: step(decode, decodeRows > 0, rowStep(shortestPrompt)),
    givingUp: handing(prefill.out),
    takingOver: handing(decode.in),
  };
}

/**
 * All prompts are prefilled, and the last of them has yet to be handed over and to be decoded token by token. Of what has
 * begun, some request has most tokens to go.
 */
function chainSeconds(context: Context): number {
  const { demand, begun, prefill, first, last, givingUp, takingOver } = context;
  const between = leastBetweenTokens(context, demand);
  const longest = begun ? Math.max(0, demand.longestOutput - 1) * between : 0;
  if (demand.promptTokens === 0 || demand.shortestOutput < 2) return longest;
  const tokens = (demand.shortestOutput - 1) * between;
  const prompts = promptWork(prefill, demand);
  const [before, behind] = [sumsBefore(first), sumsBehind(last)];
  const passed = byPlace(prefill, prompts).map((seconds, pp) => before[pp]! + seconds + behind[pp]!);
  return Math.max(longest, Math.max(...passed) + givingUp + takingOver + tokens);
}

/** What the busiest device, or the host, has to do. */
function busySeconds(context: Context, demand: Demand): number {
  const { prefill, decode, overhead, engine, begun, first, last, row } = context;
  const { dp } = prefill.stage.mesh;
  const prompts = promptWork(prefill, demand);
  const rows = decodeWork(decode, context.room, demand, context.evenly);
  const both = prefill === decode ? mixedWork(prefill, prompts, rows) : undefined;
  const steps = both ? both.steps * dp : prompts.steps * dp + rows.steps * decode.stage.mesh.dp;
  let least = Math.max(
    steps * overhead.step + demand.decodeRows * overhead.request,
    heldSeconds(context, demand),
  );
  const before = sumsBefore(first);
  const promptSeconds = byPlace(prefill, prompts);
  if (both) {
    const bothSeconds = byPlace(prefill, both);
    const apartSeconds = byPlace(prefill, apartWork(decode, demand, rows));
    const seconds = promptSeconds.map((each, pp) => Math.max(bothSeconds[pp]!, each + apartSeconds[pp]!));
    const preparing = both.steps * overhead.step + rows.tokens * overhead.request;
    return Math.max(
      least,
      ...seconds.map((each, pp) => before[pp]! + each),
      inFlightSeconds(prefill, seconds, preparing),
    );
  }
  const moving = ({ page, sequence }: PageCost, replicas: number): number =>
    begun || engine.copyEngines ? 0 : (demand.decodingPages * page + demand.decoding * sequence) / replicas;
  const behindPrompts = sumsBehind(last);
  const prefillSeconds = promptSeconds.map((seconds, pp) => {
    const computing = before[pp]! + seconds;
    const withMoves = computing + moving(prefill.out[pp]!, dp);
    // Behind its last step are those of the pipeline, behind its last page move they are not.
    least = Math.max(least, computing + behindPrompts[pp]!, withMoves);
    return withMoves;
  });
  const shared = sharedPlaces(prefill.stage, decode.stage);
  const [beforeRow, behindRow] = [sumsBefore(row), sumsBehind(row)];
  const through = sum(first);
  const decodeSeconds = byPlace(decode, rows);
  const preparing = rows.steps * overhead.step + rows.tokens * overhead.request;
  // Steps of decode may be in flight while prefill goes on, if there is any left.
  if (!shared || (begun && demand.promptTokens === 0))
    least = Math.max(least, inFlightSeconds(decode, decodeSeconds, preparing));
  decodeSeconds.forEach((seconds, pp) => {
    const computing = seconds + behindRow[pp]!;
    const withMoves = computing + moving(decode.in[pp]!, decode.stage.mesh.dp);
    if (shared) {
      const prefilling = Math.max(...shared[pp]!.map((at) => prefillSeconds[at]!));
      const prompting = Math.max(...shared[pp]!.map((at) => before[at]! + promptSeconds[at]!));
      const idle = gapsBetweenSteps(context, demand, rows);
      least = Math.max(least, prefilling + withMoves, prompting + seconds + idle);
      return;
    }
    const waits = !begun && demand.decodeRows > 0;
    // Its first page move waits for a prompt, its first step for that move and for the pipeline as well.
    const beforeMove = waits ? through + context.givingUp : 0;
    const beforeStep = waits ? beforeMove + context.takingOver + beforeRow[pp]! : 0;
    least = Math.max(least, beforeMove + withMoves, beforeStep + computing);
  });
  return least;
}

/**
 * A sequence holds its pages from the preparation of a decode step until that has passed all groups. So often and so long
 * as that is, all those pages fit into the room there is.
 */
function heldSeconds({ decode, room, overhead }: BoundedPlan, demand: Demand): number {
  const step = overhead.step + overhead.request + sum(byPlace(decode, rowStep(demand.shortestPrompt)));
  return room === 0 ? 0 : (demand.decodePages * step) / (room * decode.stage.mesh.dp);
}

/**
 * No more steps of a replica are in flight than its pipeline is deep, and each is from its preparation until it has
 * passed all groups: all of these times together fit that often into the time there is.
 *
 * @param seconds by pipeline stage
 * @param preparing seconds of the host
 */
function inFlightSeconds({ stage }: StageLoad, seconds: readonly number[], preparing: number): number {
  return (sum(seconds) + preparing) / stage.mesh.pp;
}

/**
 * Seconds in which devices that decode without a pipeline stand still while the host prepares the next step. Not before
 * the first step of each turn: between two turns lies a step of prefill, which ends a prompt or is full.
 */
function gapsBetweenSteps(
  { prefill, decode, overhead, takesTurns }: BoundedPlan,
  { requests, promptTokens }: Demand,
  { steps }: TotalWork,
): number {
  if (!takesTurns || decode.stage.mesh.pp > 1) return 0;
  const turns = 1 + requests + promptTokens / prefill.sizes.maxTokens;
  return Math.max(0, steps - turns) * overhead.step;
}

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);

/** Of every value the sum of those before it. */
function sumsBefore(values: readonly number[]): readonly number[] {
  let total = 0;
  return values.map((each) => (total += each) - each);
}

/** Of every value the sum of those behind it. */
function sumsBehind(values: readonly number[]): readonly number[] {
  return sumsBefore(values.toReversed()).toReversed();
}

const promptStep = (tokens: number): TotalWork => ({
  steps: 1,
  sampling: 0,
  tokens,
  samples: 0,
  pairs: (tokens * (tokens + 1)) / 2,
  keys: tokens,
});

/** Of prompts, with all of the shortest or as much as a step may carry. */
const shortestStep = ({ sizes }: StageLoad, { shortestPrompt }: Demand): TotalWork =>
  promptStep(Math.min(sizes.maxTokens, shortestPrompt));

/** A step with one row that sees so many keys. */
const rowStep = (keys: number): TotalWork => ({
  steps: 1,
  sampling: 1,
  tokens: 1,
  samples: 1,
  pairs: keys,
  keys,
});

/** Seconds of the work on each pipeline stage, on the replica that is quickest at it. Most have the same costs. */
function byPlace({ groups }: StageLoad, work: TotalWork): readonly number[] {
  const known = new Map<StageLoad['groups'][number], number>();
  return groups.map((group) => {
    const seconds = known.get(group) ?? Math.min(...group.map((cost) => cost(work)));
    known.set(group, seconds);
    return seconds;
  });
}

/** Of a replica in the mean. */
function promptWork({ stage, sizes }: StageLoad, { promptTokens, promptPairs }: Demand): TotalWork {
  const tokens = promptTokens / stage.mesh.dp;
  return {
    steps: tokens / sizes.maxTokens,
    sampling: 0,
    tokens,
    samples: 0,
    pairs: promptPairs / stage.mesh.dp,
    keys: tokens,
  };
}

interface DecodeWork extends TotalWork {
  /** Rows of a step at most. */
  readonly inStep: number;
}

/** Of a replica in the mean: rows in a step are sequences, dealt over `pp` steps, and hold their pages all at once. */
function decodeWork({ stage, sizes }: StageLoad, room: number, demand: Demand, evenly = false): DecodeWork {
  const { dp, pp } = stage.mesh;
  const held = Math.max(1, leastPages(demand.kv, demand.shortestPrompt));
  const running = Math.max(1, Math.min(stage.batchRequests, Math.floor(room / held)));
  const inStep = Math.max(1, Math.min(sizes.maxTokens, sizes.maxSequences, Math.ceil(running / pp)));
  // Without a pipeline all that hold pages are rows of a step, so that pages say more than the shortest prompt.
  const byPages = (pp === 1 || evenly) && room > 0 ? (pp * demand.decodePages) / room : 0;
  const steps = Math.max(demand.decodeRows / inStep, byPages) / dp;
  const tokens = demand.decodeRows / dp;
  const keys = demand.decodeKeys / dp;
  return { inStep, steps, sampling: steps, tokens, samples: tokens, pairs: keys, keys };
}

/** A step of a fused stage may do both at once. */
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
function apartWork({ stage, sizes }: StageLoad, demand: Demand, rows: DecodeWork): TotalWork {
  const full = Math.max(1, sizes.maxTokens - rows.inStep);
  const mixed = (demand.requests + demand.promptTokens / full) / stage.mesh.dp;
  const steps = Math.max(0, rows.steps - mixed);
  const tokens = Math.max(0, rows.tokens - mixed * rows.inStep);
  const keys = Math.max(0, rows.keys - mixed * rows.inStep * demand.longest);
  return { steps, sampling: steps, tokens, samples: tokens, pairs: keys, keys };
}

/**
 * For every pipeline stage of decode those of prefill that stand on the same devices, where stages take turns; undefined
 * where they have devices of their own. Replicas of both are the same devices when there are equally many.
 */
function sharedPlaces(prefill: Stage, decode: Stage): readonly (readonly number[])[] | undefined {
  const { dp, pp, tp } = prefill.mesh;
  if (dp !== decode.mesh.dp || prefill.devices.join() !== decode.devices.join()) return undefined;
  const places = Array.from({ length: decode.mesh.pp }, () => new Set<number>());
  for (let rank = 0; rank < pp * tp; rank++)
    places[Math.floor(rank / decode.mesh.tp)]!.add(Math.floor(rank / tp));
  return places.map((each) => [...each]);
}
