/** Scheduler configs of the plan kinds, small enough to run out of everything. */
import type { Condition, FlowRule } from '../../../compiler/plan/plan.js';
import type { LoadCosts } from '../../../compiler/ir/runtime-graph.js';
import type { SchedulerConfig, SchedulerStage, TransitionMode } from '../../../runtime/scheduler/types.js';

export const PLAN_KINDS = [
  'fused',
  'static',
  'resharded',
  'resharded-shared',
  'resharded-within',
  'static-within',
  'disaggregated',
] as const;

export type PlanKind = (typeof PLAN_KINDS)[number];

export interface ConfigOptions {
  readonly prefillDp?: number;
  readonly decodeDp?: number;
  readonly depth?: number;
  /** Of a stage for decode alone; that of prefill where it is not given. */
  readonly decodeDepth?: number;
  readonly maxTokens?: number;
  readonly maxSequences?: number;
  readonly batchRequests?: number;
  readonly prefillPages?: number;
  readonly decodePages?: number;
  readonly hostPages?: number;
  /** Hosts that replicas are beside, one after the other; all are beside a single one where it is not given. */
  readonly hosts?: number | undefined;
  readonly diskPages?: number;
  readonly costs?: LoadCosts;
  readonly pageTokens?: number;
  readonly window?: number | undefined;
  readonly rules?: readonly FlowRule[];
  readonly transitions?: TransitionMode;
  readonly context?: number;
}

export const hostFull: Condition = { kind: 'tier_full', tier: 'host' };
export const requestsEmpty: Condition = { kind: 'requests_empty' };
export const hostBelow = (fraction: number): Condition => ({
  kind: 'tier_used',
  tier: 'host',
  op: '<',
  fraction,
});

export const usualRules: readonly FlowRule[] = [
  { to: 'decode', when: { kind: 'or', left: hostFull, right: requestsEmpty } },
  { to: 'prefill', when: hostBelow(0.2) },
];

export const nvmeRules: readonly FlowRule[] = [
  { to: 'decode', when: { kind: 'or', left: { kind: 'tier_full', tier: 'nvme' }, right: requestsEmpty } },
  { to: 'prefill', when: { kind: 'tier_used', tier: 'nvme', op: '<', fraction: 0.2 } },
];

export function configOf(kind: PlanKind, options: ConfigOptions = {}): SchedulerConfig {
  const prefillDp = options.prefillDp ?? 1;
  const within = kind === 'resharded-within' || kind === 'static-within';
  const sharesPool = kind !== 'resharded' && kind !== 'disaggregated' && !within;
  const decodeDp = sharesPool ? prefillDp : within ? prefillDp : (options.decodeDp ?? 1);
  const stage = (name: string, own: Partial<SchedulerStage>): SchedulerStage => ({
    name,
    phases: ['prefill'],
    dp: prefillDp,
    depth: options.depth ?? 1,
    maxTokens: options.maxTokens ?? 32,
    maxSequences: options.maxSequences ?? 8,
    batchRequests: options.batchRequests ?? 8,
    pool: 'a',
    group: 'gpu',
    residence: 'x',
    ...own,
  });
  const decode = (own: Partial<SchedulerStage>): SchedulerStage =>
    stage('decode', { phases: ['decode'], depth: options.decodeDepth ?? options.depth ?? 1, ...own });
  const stages: readonly SchedulerStage[] = {
    fused: [stage('serve', { phases: ['prefill', 'decode'] })],
    static: [stage('prefill', {}), decode({})],
    resharded: [stage('prefill', {}), decode({ dp: decodeDp, pool: 'b', residence: 'y' })],
    'resharded-within': [stage('prefill', {}), decode({ pool: 'b', residence: 'y' })],
    'static-within': [stage('prefill', {}), decode({ pool: 'b' })],
    'resharded-shared': [stage('prefill', {}), decode({ residence: 'y' })],
    disaggregated: [stage('prefill', {}), decode({ dp: decodeDp, pool: 'b', group: 'other' })],
  }[kind];
  const { hosts } = options;
  const beside = (dp: number): Pick<SchedulerConfig['pools'][number], 'hosts'> =>
    hosts === undefined ? {} : { hosts: Array.from({ length: dp }, (_, replica) => [replica % hosts]) };
  const first = { id: 'a', dp: prefillDp, pages: options.prefillPages ?? 64, ...beside(prefillDp) };
  const second = {
    id: 'b',
    dp: decodeDp,
    ...beside(decodeDp),
    ...(within
      ? { pages: Math.ceil((first.pages * 3) / 4), within: 'a' }
      : { pages: options.decodePages ?? 64 }),
  };
  return {
    stages,
    pools: sharesPool ? [first] : [first, second],
    pageTokens: options.pageTokens ?? 4,
    ...(options.window !== undefined && { window: options.window }),
    hostPages: options.hostPages ?? 64,
    hostTier: 'host',
    diskPages: options.diskPages ?? 0,
    diskTier: 'nvme',
    costs: options.costs ?? { prefillToken: 1, hostPage: 0, diskPage: 0 },
    flow: stages.map(({ name }) => name),
    rules: kind === 'fused' ? [] : (options.rules ?? usualRules),
    context: options.context ?? 4096,
    transitions: options.transitions ?? 'dataflow',
  };
}
