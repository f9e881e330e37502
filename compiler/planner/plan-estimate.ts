/**
 * Estimates of how long a plan takes, which are no bounds: good for an order of plans, and for what may well be left out.
 * A rough one goes by the arithmetic of bounds, a close one by courses (see `decode-course`).
 */
import { LOW_WATER } from '../check/plan/flow.js';
import { newHost } from '../cost/host-queue.js';
import { countInCommon } from '../in-common.js';
import { once } from '../once.js';
import type { Plan } from '../plan/plan.js';
import type { BoundContext } from './bounded-stage.js';
import type { BoundedPlan } from './bounded-plan.js';
import type { CourseSetting } from './course-setting.js';
import { decodeCourse, type Arrival, type CourseFigures } from './decode-course.js';
import type { SequencesInOrder } from './decode-rounds.js';
import type { Demand } from './demand.js';
import { FUSED_COURSE_MARGIN } from './estimate-margins.js';
import { likelyBetweenTokens, likelyWaiting } from './likely-between.js';
import { likelyPhases, likelySeconds } from './likely-seconds.js';
import { goesWith, promptCourse, promptSteps, type PromptCourse } from './prompt-course.js';
import { promptsBeside, promptsMeanwhile } from './prompts-beside.js';
import { timesFilled } from './stage-load.js';

/** Estimates of what a plan takes. Times are in seconds. */
export interface PlanEstimate {
  /**
   * Seconds that the demand may well take: stages on the same devices run one after the other, and sequences decode in
   * order of arrival where that is known. Where it is not all are equal, and if prompts and decode go on side by side, a
   * last request comes behind all work. `begun`: what is left of it, on devices that are at work already.
   */
  readonly roughly: (demand: Demand, begun?: boolean) => number;
  /**
   * A closer estimate, which takes some milliseconds: steps are costed one by one, as sequences come in order of arrival.
   * Undefined where that order is unknown, where requests share pages of a prefix, where a sequence is longer than a
   * window of the model, and of what is left for a stage for both phases, which many ask for and which takes each as long.
   *
   * @param pages KV pages that tiers behind the devices have room for: what turns depend on where stages take any
   */
  readonly closely: (demand: Demand, begun?: boolean, pages?: number) => CourseFigures | undefined;
  /**
   * How many times sequences fill the pages where they decode, if pages, and not the batch, say how many decode at once. Rough
   * estimates have as many at once all the time, whatever each holds: the fewer times, the more that is off by.
   */
  readonly timesFilled: (demand: Demand) => number | undefined;
  /** Seconds between two tokens, in the mean over requests; a rough estimate. `pages` as in `closely`. */
  readonly betweenTokens: (demand: Demand, pages?: number) => number;
}

/** Of a plan that has no single stage for each phase. */
export const NO_ESTIMATE: PlanEstimate = {
  roughly: () => 0,
  closely: () => undefined,
  timesFilled: () => undefined,
  betweenTokens: () => 0,
};

/** What estimates go by that bounds do without. */
export interface EstimateSetting extends Pick<Plan, 'model'> {
  /** KV pages of a replica where it prefills. */
  readonly roomToPrefill: number;
  /** Seconds that a KV page takes between the hosts of stages with devices of their own. */
  readonly betweenHosts: number;
  /** Seconds of the transition to prefill; 0 before the plan is compiled. */
  readonly toPrefill: number;
  /** Seconds of the transition to decode; 0 likewise. */
  readonly toDecode: number;
  /** Courses that others have asked for. */
  readonly context: Pick<BoundContext, 'prefilled' | 'fused'>;
}

/** The estimates of a plan: each is made once for a demand. */
export function planEstimate(plan: BoundedPlan, setting: EstimateSetting): PlanEstimate {
  const { betweenHosts } = setting;
  const alternates = doesAlternate(plan);
  const wholePhases = once((demand: Demand) => likelyPhases(plan, demand, false));
  const roughly = (demand: Demand, begun: boolean): number => {
    if (!alternates) {
      // Of what has begun pages may be past the hosts.
      const handing = begun ? 0 : demand.decodingPages * betweenHosts;
      return Math.max(handing, likelySeconds(plan, demand, begun));
    }
    const { prompts, rows } = begun ? likelyPhases(plan, demand, true) : wholePhases(demand);
    return prompts + rows;
  };
  const wholeRoughly = once((demand: Demand) => roughly(demand, false));
  const closely = (demand: Demand, begun: boolean, pages: number): CourseFigures | undefined => {
    const { inOrder } = demand;
    if (inOrder === undefined || plan.room === 0 || !isEstimatedClosely(demand, setting)) return undefined;
    const asked: Asked = { inOrder, kv: demand.kv, begun, pages };
    if (plan.prefill === plan.decode) return begun ? undefined : fusedFigures(plan, setting, asked);
    if (alternates) return alternating(plan, setting, asked);
    const { step, request, hostPerReplica } = plan.overhead;
    const shareHost = !hostPerReplica && step + request > 0;
    return (shareHost ? besideOnOneHost : beside)(plan, setting, asked);
  };
  const wholeClosely = once((demand: Demand) => once((pages: number) => closely(demand, false, pages)));
  /** Room for more than all prompts is as good as any: they come in one turn. */
  const roomForTurns = ({ decodingPages }: Demand, pages: number): number =>
    alternates && pages < decodingPages ? pages : Infinity;
  return {
    roughly: (demand, begun = false) => (begun ? roughly(demand, true) : wholeRoughly(demand)),
    closely(demand, begun = false, pages = Infinity) {
      const room = roomForTurns(demand, pages);
      return begun ? closely(demand, true, room) : wholeClosely(demand)(room);
    },
    timesFilled: (demand) => timesFilled(plan.decode.stage, plan.room, demand),
    betweenTokens(demand, pages = Infinity) {
      const between = likelyBetweenTokens(plan, demand, { pageSeconds: betweenHosts, pages });
      if (!alternates) return between;
      return between + likelyWaiting(plan, demand, wholePhases(demand), roomForTurns(demand, pages));
    },
  };
}

/** Whether plans for a demand are estimated closely: see `PlanEstimate.closely`. */
export function isEstimatedClosely(
  { inOrder, longest, longestPrefix }: Demand,
  { model: { shape } }: Pick<Plan, 'model'>,
): boolean {
  return inOrder !== undefined && longestPrefix === 0 && longest <= (shape.sliding?.window ?? Infinity);
}

/** Whether the phases have stages of their own that share devices, so that they run one after the other. */
function doesAlternate({ prefill, decode }: BoundedPlan): boolean {
  return prefill.stage !== decode.stage && countInCommon(prefill.stage.devices, decode.stage.devices) > 0;
}

/** What is to be estimated closely: a demand, or what is left of it. */
interface Asked extends Pick<Demand, 'kv'> {
  readonly inOrder: SequencesInOrder;
  readonly begun: boolean;
  /** KV pages that tiers behind the devices have room for in a turn. */
  readonly pages: number;
}

function fusedFigures(plan: BoundedPlan, { context }: EstimateSetting, asked: Asked): CourseFigures {
  const { seconds, betweenTokens } = context.fused(plan.decode, courseSetting(plan, asked));
  return { seconds: seconds * FUSED_COURSE_MARGIN, betweenTokens: betweenTokens * FUSED_COURSE_MARGIN };
}

/**
 * Stages that share devices. Where the weights of both stay there, prompts come one by one as the tiers have room for them, and
 * nothing waits for a pipeline to fill: then they take no longer than in one turn.
 */
function alternating(plan: BoundedPlan, setting: EstimateSetting, asked: Asked): CourseFigures {
  const prompts = prefillCourse(plan, setting, asked);
  const { toPrefill, toDecode } = setting;
  const inTurns = (pages: number): CourseFigures => {
    const turns = { room: pages, few: pages * LOW_WATER, toPrefill, toDecode };
    return behindPrompts(plan, asked, prompts, { kind: 'alternating', ...prompts, ...turns });
  };
  const found = inTurns(asked.pages);
  if (plan.takesTurns || asked.pages === Infinity) return found;
  return { ...found, seconds: Math.min(found.seconds, inTurns(Infinity).seconds) };
}

/** Stages on devices of their own, with hosts that do not wait for each other. */
function beside(plan: BoundedPlan, setting: EstimateSetting, asked: Asked): CourseFigures {
  const prompts = prefillCourse(plan, setting, asked);
  const { inOrder, kv, begun } = asked;
  const handed = promptsBeside(prompts, inOrder, kv.pageTokens, begun ? 0 : setting.betweenHosts);
  return behindPrompts(plan, asked, prompts, { kind: 'beside', ...handed });
}

/** Stages on devices of their own, with one host that prepares the steps of both. */
function besideOnOneHost(plan: BoundedPlan, setting: EstimateSetting, asked: Asked): CourseFigures {
  const { inOrder, kv, begun } = asked;
  const host = newHost();
  const steps = promptSteps(plan.prefill, courseSetting(plan, asked, setting.roomToPrefill), host);
  const prompts = promptsMeanwhile(steps, inOrder, kv.pageTokens, begun ? 0 : setting.betweenHosts);
  const arrival: Arrival = { kind: 'beside', ...prompts };
  const rows = decodeCourse(plan.decode, courseSetting(plan, asked), arrival, host);
  return { ...rows, seconds: Math.max(steps.course().seconds, rows.seconds) };
}

function behindPrompts(
  plan: BoundedPlan,
  asked: Asked,
  prompts: PromptCourse,
  arrival: Arrival,
): CourseFigures {
  const rows = decodeCourse(plan.decode, courseSetting(plan, asked), arrival);
  return { ...rows, seconds: Math.max(prompts.seconds, rows.seconds) };
}

/** The course of prefill: of a whole demand that of another plan with the same stage, where there is one. */
function prefillCourse(
  plan: BoundedPlan,
  { context, roomToPrefill }: EstimateSetting,
  asked: Asked,
): PromptCourse {
  const { prefill } = plan;
  const { inOrder, begun } = asked;
  const prefilled = context.prefilled(prefill.stage)(prefill.out.join());
  const others = prefilled.get(inOrder) ?? [];
  const known = others.find((each) => goesWith(each, roomToPrefill));
  const prompts = known ?? promptCourse(prefill, courseSetting(plan, asked, roomToPrefill));
  if (known === undefined && !begun) prefilled.set(inOrder, [...others, prompts]);
  return prompts;
}

function courseSetting(
  { overhead, engine, room: roomToDecode }: BoundedPlan,
  { inOrder, kv }: Asked,
  room = roomToDecode,
): CourseSetting {
  return { room, sequences: inOrder, kv, overhead, copyEngines: engine.copyEngines };
}
