/**
 * When a group of devices changes stage.
 *
 * The plan's rules decide: a rule fires when its condition holds, its stage would have work, and the resident stage
 * has run at least one step since the last switch. Then no new work begins, prompts already let in are prefilled to
 * their end, and the switch is given out: behind their last step, or with barriers once the pipeline has drained.
 * Whatever the rules say the machine keeps going: when the resident stage has nothing to do, nothing under way can give
 * it something to do, and another stage has work, the group switches without a rule.
 *
 * What a condition means for a tier behind the devices. As tiers fill in spill order, one of the disk tier is about the
 * host tier too:
 * - `full`   the next waiting prompt finds no room in the host tier, and none is about to be freed: no sequence is on
 *            its way to the decode pool or to disk, or could follow one; of the disk tier, nor is there one on its way
 *            to the host tier that the disk could take from there. With no prompt waiting: not a page is free.
 * - `used`   pages held (also those claimed for prompts in prefill, and not filled yet) over all pages, of the tier and those before it.
 * - `empty`  no page is held, in the tier and those before it.
 * A disk tier that takes nothing (it failed to write, or its loads take too long for all that came) is left out of account. One that has
 * refused pages before counts with those that it took.
 * `requests.empty`: no request waits for prefill, with or without its beginning, or is in it; without barriers, the steps
 *            that end its prefill may still be in flight.
 * Any other tier name, and every name where decode reads the pages that prefill wrote, means device memory: the
 * pools of the group's resident stages.
 */
import type { Condition } from '../../compiler/plan/plan.js';
import { canPrefill } from './admission.js';
import { startAction } from './holding.js';
import { hostPagesNeeded, unscheduledTokens } from './lanes.js';
import { canPageIn } from './incoming.js';
import { isResident } from './machine.js';
import type { DeviceGroup, Machine, StageState } from './machine.js';
import { heldPages } from './page-table.js';
import type { PageList } from './pages.js';
import { isSpilling, takesSpills } from './tiers.js';
import { isHalf, knownTokens } from './sequences.js';
import { pagesEnd } from './windows.js';

/** Decides on switches and gives out those whose group has drained. */
export function startSwitches(machine: Machine): void {
  for (const group of machine.groups) {
    if (group.switching || group.residences === 1) continue;
    const before = group.leavingTo;
    if (before !== undefined && !hasWork(machine, before)) group.leavingTo = undefined;
    group.leavingTo ??= chooseStage(machine, group);
    const to = group.leavingTo;
    if (to !== before) machine.changes++;
    if (to === undefined || (group.barrier && group.stepsInFlight > 0)) continue;
    if (residentOf(group).some(hasBegunPrompts)) continue;
    const from = group.active;
    group.leavingTo = undefined;
    group.announced = false;
    group.steps = 0;
    if (!group.barrier) group.active = to.config;
    group.switching = true;
    machine.switches++;
    machine.changes++;
    machine.out.push({
      kind: 'switch',
      id: startAction(machine, { kind: 'switch', group, to }),
      group: group.name,
      from: from.name,
      to: to.config.name,
    });
  }
}

/**
 * Announces the next switch of groups that have no choice where to, once it will come: prompts wait, or the other stage
 * has work. It does not matter when.
 */
export function announceSwitches(machine: Machine): void {
  for (const group of machine.groups) {
    if (group.barrier || group.switching || group.announced || group.residences !== 2) continue;
    const to = group.stages.find(
      (stage) =>
        !isResident(stage) && ((stage.prefills && machine.counts.waiting > 0) || hasWork(machine, stage)),
    );
    if (to === undefined) continue;
    group.announced = true;
    const { name, active } = group;
    machine.out.push({ kind: 'prepare', group: name, from: active.name, to: to.config.name });
  }
}

export function finishSwitch(group: DeviceGroup, to: StageState): void {
  group.active = to.config;
  group.switching = false;
}

function residentOf(group: DeviceGroup): StageState[] {
  return group.stages.filter(isResident);
}

function hasBegunPrompts(stage: StageState): boolean {
  return stage.lanes.some((lane) => unscheduledTokens(lane) > 0);
}

function chooseStage(machine: Machine, group: DeviceGroup): StageState | undefined {
  const others = group.stages.filter((stage) => !isResident(stage));
  if (others.length === 0) return undefined;
  if (group.steps > 0) {
    for (const rule of machine.config.rules) {
      const to = others.find((stage) => stage.config.name === rule.to);
      if (to !== undefined && holds(machine, group, rule.when) && hasWork(machine, to)) return to;
    }
  }
  if (group.stepsInFlight > 0 || residentOf(group).some((stage) => mayGoOn(machine, stage))) return undefined;
  return others.find((stage) => hasWork(machine, stage));
}

/** Whether the stage would have something to do if its weights were on the devices. */
function hasWork(machine: Machine, stage: StageState): boolean {
  if (canPrefill(machine, stage)) return true;
  if (!stage.decodes) return false;
  const { on_host: onHost, spilling, on_disk: onDisk, fetching } = machine.counts;
  if (onHost + spilling + onDisk + fetching - promptsFetched(machine) > 0) return true;
  if (stage.lanes.some((lane) => lane.running.size + lane.arriving.size > 0)) return true;
  return !stage.group.barrier && isOnItsWay(machine, stage);
}

/** Whether sequences in prefill, or between it and the host tier, will decode in the stage. */
function isOnItsWay(machine: Machine, stage: StageState): boolean {
  const { counts } = machine;
  if (counts.prefilled + counts.preempted + counts.paging_out > 0) return true;
  return machine.prefillers.some(
    ({ local, prefilling }) =>
      (local === undefined || local.stage === stage) &&
      prefilling.some(({ maxNewTokens, generated }) => maxNewTokens - generated > 1),
  );
}

/** Sequences that wait for the KV of their first tokens, which is on its way from disk, to go on with prefill. */
function promptsFetched(machine: Machine): number {
  if (machine.counts.fetching === 0) return 0;
  return machine.pending
    .values()
    .filter((each) => each.kind === 'fetch' && each.sequence.state === 'fetching' && isHalf(each.sequence))
    .length;
}

/** Whether the stage can run a step now or once the moves under way are done. */
function mayGoOn(machine: Machine, stage: StageState): boolean {
  const { counts } = machine;
  const leaving = counts.prefilled + counts.preempted + counts.paging_out + counts.spilling;
  const moving = leaving + counts.fetching + counts.paging_in > 0;
  if (moving && (stage.decodes || counts.waiting + promptsFetched(machine) > 0)) return true;
  return canPrefill(machine, stage) || stage.lanes.some((lane) => lane.running.size > 0);
}

/** Evaluates a rule's condition for a group of devices. */
export function holds(machine: Machine, group: DeviceGroup, condition: Condition): boolean {
  switch (condition.kind) {
    case 'and':
      return holds(machine, group, condition.left) && holds(machine, group, condition.right);
    case 'or':
      return holds(machine, group, condition.left) || holds(machine, group, condition.right);
    case 'not':
      return !holds(machine, group, condition.operand);
    case 'requests_empty':
      if (machine.counts.waiting + promptsFetched(machine) > 0) return false;
      return group.barrier ? machine.counts.prefill === 0 : !machine.stages.some(hasBegunPrompts);
    case 'tier_empty':
      return usedFraction(machine, storesOf(machine, group, condition.tier)) === 0;
    case 'tier_used': {
      const used = usedFraction(machine, storesOf(machine, group, condition.tier));
      const { op, fraction } = condition;
      if (op === '<') return used < fraction;
      if (op === '<=') return used <= fraction;
      return op === '>' ? used > fraction : used >= fraction;
    }
    case 'tier_full':
      return isFull(machine, group, condition.tier);
  }
}

/** Tiers outside the devices up to the one named, in spill order; none where decode reads what prefill wrote. */
function tiersTo(machine: Machine, tier: string): readonly PageList[] {
  const { hostTier, diskTier, diskPages } = machine.config;
  if (machine.prefillers.every(({ local }) => local !== undefined)) return [];
  if (tier === hostTier) return [machine.host];
  if (tier !== diskTier || diskPages === 0) return [];
  return [machine.host, ...(takesSpills(machine) ? [machine.disk] : [])];
}

function storesOf(machine: Machine, group: DeviceGroup, tier: string): readonly PageList[] {
  const tiers = tiersTo(machine, tier);
  if (tiers.length > 0) return tiers;
  const pools = new Set(residentOf(group).flatMap((stage) => stage.lanes.map((lane) => lane.pool.pages)));
  return [...pools];
}

function usedFraction({ disk, diskRoom }: Machine, stores: readonly PageList[]): number {
  const total = stores.reduce((sum, store) => sum + (store === disk ? diskRoom : store.total), 0);
  const used = stores.reduce((sum, store) => sum + store.total - store.free(), 0);
  return total === 0 ? 0 : used / total;
}

function isFull(machine: Machine, group: DeviceGroup, tier: string): boolean {
  const stores = storesOf(machine, group, tier);
  const waiting = machine.waiting.peek();
  if (waiting === undefined) return stores.every((store) => store.free() === 0);
  const lanes = machine.prefillers;
  if (tiersTo(machine, tier).length === 0) {
    const pages = Math.min(...lanes.map((lane) => pagesEnd(machine, lane, 0, knownTokens(waiting))));
    return stores.every((store) => store.free() < pages);
  }
  const needed = Math.min(...lanes.map((lane) => hostPagesNeeded(machine, lane, waiting)));
  if (needed <= machine.host.free() || isDraining(machine)) return false;
  return tier !== machine.config.diskTier || !fillsDisk(machine);
}

/** Whether the disk tier will take a sequence without any decode step, once that is in the host tier. */
function fillsDisk(machine: Machine): boolean {
  if (!takesSpills(machine)) return false;
  if (machine.counts.fetching > 0) return true;
  return machine.pools.some(({ residents }) =>
    [...residents].some(
      ({ state, hostPages }) =>
        (state === 'prefill' || state === 'prefilled' || state === 'paging_out') &&
        hostPages.length > 0 &&
        heldPages(hostPages).length <= machine.disk.free(),
    ),
  );
}

/** Whether host pages will be freed without any decode step: by moves under way, or by moves that will follow. */
function isDraining(machine: Machine): boolean {
  if (machine.counts.paging_in > 0 || isSpilling(machine)) return true;
  for (const { residents } of machine.pools) {
    for (const sequence of residents) {
      const comesIn = sequence.hostPages.length > 0 && sequence.state !== 'gone';
      if (comesIn && machine.decoders.some((lane) => canPageIn(machine, lane, sequence))) return true;
    }
  }
  return false;
}
