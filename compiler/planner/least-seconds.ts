/**
 * The arithmetic of `bound`: seconds that a demand takes at least on stages whose costs are known.
 *
 * Where one part of a bound ends and the next begins, nothing may be counted twice: what a device does is one sum, and
 * to it comes what must lie before the first thing it does, and behind the last.
 */
import type { EngineModel } from '../cost/engine-model.js';
import type { LeastCost, TotalWork } from '../cost/least-cost.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { Demand } from './demand.js';
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

/** A token needs a decode step of its own, or the prefill of a sequence that lost its KV. */
export function leastBetweenTokens({ overhead, prefill, decode }: BoundedPlan, demand: Demand): number {
  const { shortestPrompt } = demand;
  const again = promptStep(Math.min(prefill.sizes.maxTokens, shortestPrompt));
  const through = ({ groups }: StageLoad, work: TotalWork): number =>
    sum(groups.map((group) => cheapest(group, work)));
  const step = Math.min(through(decode, rowStep(shortestPrompt)), through(prefill, again));
  return overhead.step + overhead.request + step;
}

/**
 * The demand when KV of sequences in decode is dropped so often. It is computed again, of which the last row yields a
 * token that needs no decode row then. Estimates are convex in how often.
 */
function afterDrops(demand: Demand, drops: number): Demand {
  const { longest, shortestPrompt, pageTokens } = demand;
  return {
    ...demand,
    requests: demand.requests + drops,
    promptTokens: demand.promptTokens + drops * (shortestPrompt + 1),
    promptPairs: demand.promptPairs + (drops * shortestPrompt * (shortestPrompt + 1)) / 2,
    decodeRows: Math.max(0, demand.decodeRows - drops),
    decodeKeys: Math.max(0, demand.decodeKeys - drops * longest),
    decodePages: Math.max(0, demand.decodePages - drops * Math.ceil(longest / pageTokens)),
  };
}

/** What the interval that is left of a search may hide. */
const SEARCH_SLACK = 1e-4;

/** The least of a convex function from 0 to `end`, from below. */
function leastOfConvex(valueAt: (at: number) => number, end: number): number {
  let [low, high] = [0, end];
  for (let round = 0; round < 32; round++) {
    const [a, b] = [low + (high - low) / 3, high - (high - low) / 3];
    if (valueAt(a) <= valueAt(b)) high = b;
    else low = a;
  }
  return Math.min(valueAt((low + high) / 2) * (1 - SEARCH_SLACK), valueAt(end));
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
  const { promptTokens, decodeRows, shortestPrompt, pageTokens } = demand;
  const step = ({ groups }: StageLoad, is: boolean, work: TotalWork): readonly number[] =>
    groups.map((group) => (is ? cheapest(group, work) : 0));
  const handing = (costs: readonly PageCost[]): number =>
    Math.min(...costs.map(({ page, sequence }) => page * Math.ceil(shortestPrompt / pageTokens) + sequence));
  return {
    first: step(prefill, !begun, promptStep(Math.min(prefill.sizes.maxTokens, shortestPrompt))),
    last: step(prefill, promptTokens > 0, promptStep(1)),
    row: step(decode, decodeRows > 0, rowStep(shortestPrompt)),
    givingUp: handing(prefill.out),
    takingOver: handing(decode.in),
  };
}

/** All prompts are prefilled, and the last of them has yet to be handed over and to be decoded token by token. */
function chainSeconds(context: Context): number {
  const { demand, prefill, first, last, givingUp, takingOver } = context;
  if (demand.promptTokens === 0 || demand.shortestOutput < 2) return 0;
  const tokens = (demand.shortestOutput - 1) * leastBetweenTokens(context, demand);
  const prompts = promptWork(prefill, demand);
  const passed = prefill.groups.map(
    (group, pp) => sum(first.slice(0, pp)) + cheapest(group, prompts) + sum(last.slice(pp + 1)),
  );
  return Math.max(...passed) + givingUp + takingOver + tokens;
}

/** What the busiest device, or the host, has to do. */
function busySeconds(context: Context, demand: Demand): number {
  const { prefill, decode, overhead, engine, begun, first, last, row } = context;
  const { dp } = prefill.stage.mesh;
  const prompts = promptWork(prefill, demand);
  const rows = decodeWork(context, demand);
  const both = prefill === decode ? mixedWork(prefill, prompts, rows) : undefined;
  const steps = both ? both.steps * dp : prompts.steps * dp + rows.steps * decode.stage.mesh.dp;
  let least = steps * overhead.step + demand.decodeRows * overhead.request;
  if (both) {
    const apart = apartWork(decode, demand, rows);
    prefill.groups.forEach((group, pp) => {
      const seconds = Math.max(cheapest(group, both), cheapest(group, prompts) + cheapest(group, apart));
      least = Math.max(least, sum(first.slice(0, pp)) + seconds);
    });
    return least;
  }
  const moving = ({ page, sequence }: PageCost, replicas: number): number =>
    begun || engine.copyEngines ? 0 : (demand.decodingPages * page + demand.decoding * sequence) / replicas;
  const prefillSeconds = prefill.groups.map((group, pp) => {
    const computing = sum(first.slice(0, pp)) + cheapest(group, prompts);
    const withMoves = computing + moving(prefill.out[pp]!, dp);
    // Behind its last step are those of the pipeline, behind its last page move they are not.
    least = Math.max(least, computing + sum(last.slice(pp + 1)), withMoves);
    return withMoves;
  });
  const shared = sharedPlaces(prefill.stage, decode.stage);
  decode.groups.forEach((group, pp) => {
    const computing = cheapest(group, rows) + sum(row.slice(pp + 1));
    const withMoves = computing + moving(decode.in[pp]!, decode.stage.mesh.dp);
    if (shared) {
      const before = Math.max(...shared[pp]!.map((at) => prefillSeconds[at]!));
      least = Math.max(least, before + withMoves);
      return;
    }
    const waits = !begun && demand.decodeRows > 0;
    // Its first page move waits for a prompt, its first step for that move and for the pipeline as well.
    const beforeMove = waits ? sum(first) + context.givingUp : 0;
    const beforeStep = waits ? beforeMove + context.takingOver + sum(row.slice(0, pp)) : 0;
    least = Math.max(least, beforeMove + withMoves, beforeStep + computing);
  });
  return least;
}

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);

const promptStep = (tokens: number): TotalWork => ({
  steps: 1,
  sampling: 0,
  tokens,
  samples: 0,
  pairs: (tokens * (tokens + 1)) / 2,
  keys: tokens,
});

/** A step with one row that sees so many keys. */
const rowStep = (keys: number): TotalWork => ({
  steps: 1,
  sampling: 1,
  tokens: 1,
  samples: 1,
  pairs: keys,
  keys,
});

/** On the replica that is quickest at it. */
function cheapest(group: readonly LeastCost[], work: TotalWork): number {
  return Math.min(...group.map((cost) => cost(work)));
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
function decodeWork({ decode, room }: BoundedPlan, demand: Demand): DecodeWork {
  const { stage, sizes } = decode;
  const { dp, pp } = stage.mesh;
  const held = Math.max(1, Math.ceil(demand.shortestPrompt / demand.pageTokens));
  const running = Math.max(1, Math.min(stage.batchRequests, Math.floor(room / held)));
  const inStep = Math.max(1, Math.min(sizes.maxTokens, sizes.maxSequences, Math.ceil(running / pp)));
  // Without a pipeline all that hold pages are rows of a step, so that pages say more than the shortest prompt.
  const byPages = pp === 1 && room > 0 ? demand.decodePages / room : 0;
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
