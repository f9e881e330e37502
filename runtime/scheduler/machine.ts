/**
 * The scheduler's state: lanes, pools, groups and sequences, resolved from the config once.
 *
 * A *lane* is one replica of one stage. Lanes of stages with the same residence share devices and therefore one
 * pipeline; lanes of stages with the same pool share pages, and then a prefill lane's `local` is the decode lane
 * that reads the very pages it wrote. A lane without `local` hands its sequences over through the host tier.
 */
import type { LoadCosts } from '../../compiler/ir/runtime-graph.js';
import { leastCopied } from '../../compiler/model/common-beginning.js';
import { bestLoad, type Load, type LoadSource } from './costs.js';
import { createAlikeIndex } from './alike.js';
import { createInFlight, type InFlight } from './in-flight.js';
import { createHostList } from './host-list.js';
import type { HostList } from './host-list.js';
import { createPageList, createPageShare } from './pages.js';
import type { PageKey, PageList } from './pages.js';
import type { LastPrefix } from './prefix.js';
import { createArrivalQueue } from './sequences.js';
import type { ArrivalQueue, SequenceState, Sequence } from './sequences.js';
import type { Action, SchedulerConfig, SchedulerStage, StepItem, TransitionMode } from './types.js';

export interface PoolReplica {
  readonly pool: string;
  readonly replica: number;
  readonly pages: PageList;
  /** Sequences that hold pages here. */
  readonly residents: Set<Sequence>;
  /** Published pages that steps under way fill, with the lane that these steps are of. */
  readonly writing: Map<number, Lane>;
  /** How often `writing` has changed. */
  fillings: number;
  /** What the pools have in common whose pages are the same. */
  readonly memory: PageMemory;
  /** Hosts beside its ranks; undefined where there is one for all. */
  readonly hosts: readonly number[] | undefined;
}

export interface PageMemory {
  readonly pools: PoolReplica[];
  /** Sequences on their way from here to the host tier, or waiting for room there. */
  leaving: number;
  /** What is to be left free for the sequences that decode, in quarters of a page: see `headroom.ts`. */
  decodeNeed: number;
}

/** The devices of one replica under one residence: steps in flight, over all stages that share them. */
export interface Pipeline {
  inFlight: number;
  /** Steps in flight at once in the deepest of these stages. */
  depth: number;
}

/** Devices, and the stages that take turns on them. */
export interface DeviceGroup {
  readonly name: string;
  readonly stages: readonly StageState[];
  active: SchedulerStage;
  /** Stage it is about to switch to: no new work begins, what is begun is finished. */
  leavingTo: StageState | undefined;
  /** The next switch has been announced. */
  announced: boolean;
  /** A switch is in flight; `active` is the new stage already unless switches are barriers. */
  switching: boolean;
  /** Nobody is resident while a switch is in flight. */
  readonly barrier: boolean;
  /** How many sets of weights its stages take turns with; one where there is nothing to switch. */
  residences: number;
  stepsInFlight: number;
  /** Steps given out since the last switch. */
  steps: number;
}

export interface DecodeStage {
  /** Sequences in its decode batch or on their way into it. */
  members: number;
  readonly batchRequests: number;
  /** Its batch, or a step of it, has kept a sequence out: until then a larger one makes no difference. */
  reachedBatch: boolean;
}

export interface StageState extends DecodeStage {
  readonly config: SchedulerStage;
  readonly prefills: boolean;
  readonly decodes: boolean;
  readonly group: DeviceGroup;
  readonly lanes: readonly Lane[];
}

export interface Lane {
  readonly stage: StageState;
  readonly replica: number;
  readonly pool: PoolReplica;
  readonly pipeline: Pipeline;
  local: Lane | undefined;
  /** Sequences in prefill here, oldest first. */
  readonly prefilling: Sequence[];
  readonly running: Set<Sequence>;
  /** Sequences being paged in to decode here. */
  readonly arriving: Set<Sequence>;
  /** See `devicePrefix`. */
  lastPrefix: LastPrefix | undefined;
}

/** An action given out and not yet answered. */
export type Pending =
  | {
      readonly kind: 'step';
      readonly lane: Lane;
      readonly items: readonly StepItem[];
    }
  | {
      readonly kind: 'page_out';
      readonly sequence: Sequence;
      readonly pool: PoolReplica;
      readonly keys: readonly PageKey[];
    }
  | { readonly kind: 'page_in'; readonly sequence: Sequence; readonly keys: readonly PageKey[] }
  /** `frees`: host pages that it was to free when it began. */
  | {
      readonly kind: 'spill';
      readonly sequence: Sequence;
      readonly keys: readonly PageKey[];
      readonly frees: number;
    }
  | { readonly kind: 'fetch'; readonly sequence: Sequence; readonly keys: readonly PageKey[] }
  | { readonly kind: 'switch'; readonly group: DeviceGroup; readonly to: StageState };

export interface Machine {
  readonly config: SchedulerConfig;
  /** In flow order, so prefill comes first. */
  readonly stages: readonly StageState[];
  /** Lanes of the stages that decode, and of those that prefill. */
  readonly decoders: readonly Lane[];
  readonly prefillers: readonly Lane[];
  /** Whether there is anything to switch. */
  readonly hasTurns: boolean;
  readonly groups: readonly DeviceGroup[];
  readonly pools: readonly PoolReplica[];
  readonly host: HostList;
  readonly disk: PageList;
  /** A spill failed, and no disk page has been given back since: the tier counts as full. */
  diskRefused: boolean;
  /** Pages of the disk tier that rules count: all, and once the disk has refused some, as many as it has held. */
  diskRoom: number;
  /** Host pages that spills under way will free. */
  spillingPages: number;
  /** The load that pays best, of those of the prompts that came and the sequences that were in the host tier so far. */
  bestLoad: Load;
  /** What loads cost, as far as it is known now. */
  costs: LoadCosts;
  readonly sequences: Map<number, Sequence>;
  readonly waiting: ArrivalQueue;
  readonly prefilled: ArrivalQueue;
  /** Off the devices' lanes, their pages still there, until the host tier has room. */
  readonly preempted: ArrivalQueue;
  readonly onHost: ArrivalQueue;
  readonly onDisk: ArrivalQueue;
  /** Those of `waiting` that hold KV in the host tier. */
  readonly halves: ArrivalQueue;
  readonly counts: Record<SequenceState, number>;
  readonly pending: InFlight<Pending>;
  /** Actions found and not yet returned. */
  readonly out: Action[];
  /**
   * Changes of state, prompts moved on, decisions to switch, and steps but for those that let nothing else start
   * (see `steps.ts`): what to start next must then be asked anew.
   */
  changes: number;
  nextAction: number;
  arrivals: number;
  finished: number;
  cancelled: number;
  rejected: number;
  switches: number;
  swapped: number;
  dropped: number;
  spills: number;
  fetches: number;
  failedSpills: number;
  failedFetches: number;
  /** Prompt tokens whose KV was found and not computed, by where it was; tokens computed once before are left out. */
  readonly reused: Record<'device' | LoadSource, number>;
  /** Device pages copied, as sequences went on in them after the same first tokens. */
  copied: number;
  /** Loads not made, and KV not kept, because computing it again is quicker; by tier. */
  readonly passedOver: Record<LoadSource, number>;
}

export function createMachine(config: SchedulerConfig): Machine {
  const pools = createPools(config);
  const { stages, groups } = createStages(config, pools);
  return {
    config,
    stages,
    decoders: stages.flatMap((stage) => (stage.decodes ? stage.lanes : [])),
    prefillers: stages.flatMap((stage) => (stage.prefills ? stage.lanes : [])),
    hasTurns: groups.some(({ residences }) => residences > 1),
    groups,
    pools,
    host: createHostList(config.hostPages),
    disk: createPageList(config.diskPages, 'published'),
    diskRefused: false,
    diskRoom: config.diskPages,
    spillingPages: 0,
    bestLoad: bestLoad(config, []),
    costs: config.costs,
    sequences: new Map(),
    waiting: createArrivalQueue(),
    prefilled: createArrivalQueue(),
    preempted: createArrivalQueue(),
    onHost: createArrivalQueue(),
    onDisk: createArrivalQueue(),
    halves: createArrivalQueue(),
    counts: {
      waiting: 0,
      prefill: 0,
      prefilled: 0,
      preempted: 0,
      paging_out: 0,
      on_host: 0,
      spilling: 0,
      on_disk: 0,
      fetching: 0,
      paging_in: 0,
      running: 0,
      gone: 0,
    },
    pending: createInFlight(),
    out: [],
    changes: 0,
    nextAction: 0,
    arrivals: 0,
    finished: 0,
    cancelled: 0,
    rejected: 0,
    switches: 0,
    swapped: 0,
    dropped: 0,
    spills: 0,
    fetches: 0,
    failedSpills: 0,
    failedFetches: 0,
    reused: { device: 0, host: 0, disk: 0 },
    copied: 0,
    passedOver: { host: 0, disk: 0 },
  };
}

function createPools(config: SchedulerConfig): PoolReplica[] {
  const hostsOf = new Map(config.pools.map(({ id, hosts }) => [id, hosts]));
  const create = (id: string, replica: number, pages: PageList, memory: PageMemory): PoolReplica => {
    const pool = {
      pool: id,
      replica,
      pages,
      residents: new Set<Sequence>(),
      writing: new Map<number, Lane>(),
      fillings: 0,
      memory,
      hosts: hostsOf.get(id)?.[replica],
    };
    memory.pools.push(pool);
    return pool;
  };
  const own = config.pools
    .filter(({ within }) => within === undefined)
    .flatMap(({ id, dp, pages }) =>
      Array.from({ length: dp }, (_, replica) =>
        create(
          id,
          replica,
          createPageList(pages, 'fresh', createAlikeIndex(leastCopied(config.pageTokens))),
          {
            pools: [],
            leaving: 0,
            decodeNeed: 0,
          },
        ),
      ),
    );
  return config.pools.flatMap(({ id, dp, pages, within }) =>
    Array.from({ length: dp }, (_, replica) => {
      const found = own.find((each) => each.pool === (within ?? id) && each.replica === replica);
      if (found === undefined) throw new Error(`pool ${within ?? id} has no replica ${replica}`);
      return within === undefined
        ? found
        : create(id, replica, createPageShare(found.pages, pages, id), found.memory);
    }),
  );
}

function createStages(
  config: SchedulerConfig,
  pools: readonly PoolReplica[],
): { stages: StageState[]; groups: DeviceGroup[] } {
  const stages: StageState[] = [];
  const groups: DeviceGroup[] = [];
  const membersOf = new Map<string, StageState[]>();
  const pipelines = new Map<string, Pipeline>();
  for (const name of config.flow) {
    const stage = config.stages.find((candidate) => candidate.name === name);
    if (stage === undefined) throw new Error(`the flow names no stage ${name}`);
    const members = membersOf.get(stage.group) ?? [];
    membersOf.set(stage.group, members);
    let group = groups.find((candidate) => candidate.name === stage.group);
    if (group === undefined) {
      group = newGroup(stage, members, config.transitions);
      groups.push(group);
    }
    const lanes: Lane[] = [];
    const state: StageState = {
      config: stage,
      prefills: stage.phases.includes('prefill'),
      decodes: stage.phases.includes('decode'),
      batchRequests: stage.batchRequests,
      members: 0,
      reachedBatch: false,
      lanes,
      group,
    };
    for (let replica = 0; replica < stage.dp; replica++) {
      const pool = pools.find((candidate) => candidate.pool === stage.pool && candidate.replica === replica);
      if (pool === undefined) throw new Error(`pool ${stage.pool} has no replica ${replica}`);
      const key = JSON.stringify([stage.group, stage.residence, replica]);
      const pipeline = pipelines.get(key) ?? { inFlight: 0, depth: 0 };
      pipeline.depth = Math.max(pipeline.depth, stage.depth);
      pipelines.set(key, pipeline);
      const lane: Lane = {
        stage: state,
        replica,
        pool,
        pipeline,
        local: undefined,
        prefilling: [],
        running: new Set(),
        arriving: new Set(),
        lastPrefix: undefined,
      };
      lanes.push(lane);
    }
    if (!members.some(({ config: { residence } }) => residence === stage.residence)) group.residences++;
    members.push(state);
    stages.push(state);
  }
  for (const stage of stages) for (const lane of stage.lanes) lane.local = decoderOf(stages, lane);
  return { stages, groups };
}

/** The group of devices on which a stage is from the start, and which `stages` share. */
function newGroup(
  first: SchedulerStage,
  stages: readonly StageState[],
  transitions: TransitionMode,
): DeviceGroup {
  return {
    name: first.group,
    stages,
    active: first,
    leavingTo: undefined,
    announced: false,
    switching: false,
    barrier: transitions === 'barrier',
    residences: 0,
    stepsInFlight: 0,
    steps: 0,
  };
}

function decoderOf(stages: readonly StageState[], lane: Lane): Lane | undefined {
  if (lane.stage.decodes) return lane;
  for (const stage of stages) {
    const found = stage.decodes ? stage.lanes.find((other) => other.pool === lane.pool) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether the stage's weights are on its devices, or about to be, and stay there for now. */
export function isResident(stage: StageState): boolean {
  const { group } = stage;
  return !(group.switching && group.barrier) && group.active.residence === stage.config.residence;
}

export function pagesFor(machine: Machine, tokens: number): number {
  return Math.ceil(tokens / machine.config.pageTokens);
}

/** Moves a sequence from one state of its life to another. */
export function setState(machine: Machine, sequence: Sequence, state: SequenceState): void {
  machine.counts[sequence.state]--;
  machine.counts[state]++;
  sequence.state = state;
  sequence.stay++;
  machine.changes++;
}

/** Counts the sequence in a stage's decode batch, or in none. */
export function setBatch(sequence: Sequence, stage: StageState | undefined): void {
  if (sequence.batch !== undefined) sequence.batch.members--;
  if (stage !== undefined) stage.members++;
  sequence.batch = stage;
}

/**
 * Whether a stage's decode batch keeps a sequence out.
 *
 * @param wouldJoin whether it would join in a larger one
 */
export function isBatchFull(stage: DecodeStage, wouldJoin: () => boolean): boolean {
  if (stage.members < stage.batchRequests) return false;
  stage.reachedBatch ||= wouldJoin();
  return true;
}
