/**
 * Forming batches. A step of a lane carries decode rows first, one per sequence, and fills what is left of its
 * tokens with prompt chunks in order of arrival.
 *
 * After a switch the first of them waits for sequences that are about to join, if they are the last.
 *
 * With a pipeline of depth d the running sequences are dealt into up to d groups: a step takes no more than a d-th
 * of them, so that d steps can be in flight and every pipeline stage has work. Chunks of one prompt may follow each
 * other through a pipeline: its stages execute steps in order, so a chunk finds the KV of the chunks before it.
 */
import { firstPageSeen } from '../../compiler/model/kv-window.js';
import { canPlace } from './admission.js';
import { startAction } from './holding.js';
import { isBatchFull, isResident, pagesFor } from './machine.js';
import type { Lane, Machine, Pipeline, StageState } from './machine.js';
import { growTo, preempt } from './preemption.js';
import { copyAlike, findAlike } from './copies.js';
import { beginFilling, skipFilled } from './prefix.js';
import { knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';
import type { StepItem } from './types.js';
import { giveUpUnseen, pagesToCome } from './windows.js';

/** The rows of a step, as far as they are found. */
interface Batch {
  /** Value of `lastStep` of its sequences. */
  readonly step: number;
  readonly items: StepItem[];
}

/**
 * Starts every step that may start now: stages in flow order, so prefill first where both share devices. Of these a
 * deeper one holds back while prompts wait for the pipeline: it would keep it too full for them for ever.
 */
export function startSteps(machine: Machine): void {
  let awaited: Pipeline[] | undefined;
  for (const stage of machine.stages) {
    if (!isResident(stage)) continue;
    for (const lane of stage.lanes) {
      const { pipeline } = lane;
      if (awaited?.includes(pipeline)) continue;
      while (pipeline.inFlight < stage.config.depth && startStep(machine, stage, lane));
      const tooFull = pipeline.inFlight >= stage.config.depth;
      if (tooFull && pipeline.depth > stage.config.depth && hasPrompts(machine, lane))
        (awaited ??= []).push(pipeline);
    }
  }
}

/** Whether the lane has prompt tokens for its next step, or could be given some; KV that is on its way is none. */
function hasPrompts(machine: Machine, lane: Lane): boolean {
  if (!lane.stage.prefills) return false;
  const waiting = machine.waiting.peek();
  if (waiting !== undefined && canPlace(machine, lane, waiting)) return true;
  return lane.prefilling.some(({ state, scheduled, target }) => state === 'prefill' && scheduled < target);
}

function startStep(machine: Machine, stage: StageState, lane: Lane): boolean {
  const { free } = lane.pool.pages;
  const before = free();
  const holds = stage.group.leavingTo !== undefined || gathers(machine, stage);
  const items: StepItem[] = [];
  const batch: Batch = { step: machine.nextAction, items };
  if (stage.decodes && !holds) addDecodeRows(machine, lane, batch);
  const decoding = items.length;
  if (stage.prefills && lane.prefilling.length > 0) addPrefillRows(machine, lane, batch);
  if (items.length === 0) return false;
  // One more step of the same sequences takes room, if anything, and gives none: nothing that could not start before can
  // now, but for a switch where rules look at pages.
  const isPlain =
    items.length === decoding && stage.group.steps > 0 && (!machine.hasTurns || free() === before);
  if (!isPlain) machine.changes++;
  lane.pipeline.inFlight++;
  stage.group.stepsInFlight++;
  stage.group.steps++;
  machine.out.push({
    kind: 'step',
    id: startAction(machine, { kind: 'step', lane, items }),
    stage: stage.config.name,
    replica: lane.replica,
    items,
  });
  return true;
}

/**
 * The next `count` tokens of a sequence, which is in work from now on: no further row of the step takes pages from it.
 *
 * @param copyOf as `StepItem` has it
 */
function addRow(
  { config }: Machine,
  { step, items }: Batch,
  sequence: Sequence,
  count: number,
  sample: boolean,
  copyOf?: number,
): void {
  const { id, scheduled: start } = sequence;
  sequence.stepsInFlight++;
  sequence.scheduled += count;
  sequence.lastStep = step;
  const firstPage = firstPageSeen(config, start);
  const end = Math.ceil(sequence.scheduled / config.pageTokens);
  // All pages of its sequence as a rule where there is no window, which are not copied then: batches are large, and steps many.
  const pages =
    firstPage === 0 && sequence.pages.length === end ? sequence.pages : sequence.pages.slice(firstPage, end);
  const item = { sequence: id, start, count, sample, firstPage, pages };
  items.push(copyOf === undefined ? item : { ...item, copyOf });
}

/**
 * Whether decode, just switched to, waits for sequences that are about to join: in the last steps of the old stage, or
 * between it and this one, with all that they wait for under way. Where they are the last to come, those that went ahead
 * would not bring the end nearer: every step ahead is one that the others need again. Where more are to come after
 * them, it would.
 */
function gathers({ counts }: Machine, stage: StageState): boolean {
  const { group, lanes, config } = stage;
  if (group.steps > 0 || group.stages.every((other) => other.config.residence === config.residence))
    return false;
  if (counts.on_host + counts.spilling + counts.on_disk + counts.fetching > 0) return false;
  if (lanes.some(({ arriving }) => arriving.size > 0)) return true;
  return group.stepsInFlight + counts.paging_out > 0 && !isBatchFull(stage, () => true);
}

function addDecodeRows(machine: Machine, lane: Lane, batch: Batch): void {
  const { depth, maxTokens, maxSequences } = lane.stage.config;
  const size = Math.min(Math.ceil(lane.running.size / depth), maxTokens, maxSequences);
  if (size * depth < lane.running.size) lane.stage.reachedBatch = true;
  for (const sequence of idleOf(lane)) {
    if (batch.items.length >= size) return;
    if (sequence.state !== 'running' || !growTo(machine, sequence, knownTokens(sequence))) continue;
    addRow(machine, batch, sequence, 1, true);
  }
}

/** Running sequences that no step is out for, the least recently stepped first. As a rule that is the order they are in. */
function idleOf({ running }: Lane): Sequence[] {
  const idle: Sequence[] = [];
  let inOrder = true;
  let last: Sequence | undefined;
  for (const sequence of running) {
    if (sequence.stepsInFlight > 0) continue;
    inOrder &&= last === undefined || byLastStep(last, sequence) <= 0;
    idle.push(sequence);
    last = sequence;
  }
  return inOrder ? idle : idle.sort(byLastStep);
}

function byLastStep(a: Sequence, b: Sequence): number {
  return a.lastStep - b.lastStep || a.order - b.order;
}

/** Takes pages for coming rows of a prompt, as many as are free; false with none for the next of them. */
function takePagesAhead(machine: Machine, lane: Lane, sequence: Sequence): boolean {
  giveUpUnseen(machine, sequence, lane.pool);
  const { pages } = lane.pool;
  const toCome = pagesToCome(machine, lane, sequence);
  const taken = Math.min(pages.free(), toCome);
  if (taken > 0) sequence.pages = [...sequence.pages, ...pages.take(taken)!];
  if (pagesFor(machine, sequence.scheduled + 1) <= sequence.pages.length) return true;
  // With all that it may have, it waits until its steps in flight need less.
  return toCome > taken && growTo(machine, sequence, sequence.scheduled + 1);
}

/**
 * A prompt that finds no page although nothing is under way that may free one gives up its own: those that hold the others
 * may have to decode first, for which its devices must be free.
 */
function giveWay(machine: Machine, { pool, pipeline }: Lane, sequence: Sequence): void {
  const waits = pipeline.inFlight + sequence.stepsInFlight + pool.memory.leaving > 0;
  if (!waits) preempt(machine, sequence, pool);
}

function addPrefillRows(machine: Machine, lane: Lane, batch: Batch): void {
  const { maxTokens, maxSequences } = lane.stage.config;
  const { items } = batch;
  /** Pages that rows of this very step fill. */
  const filling = new Set<number>();
  let tokens = maxTokens - items.length;
  for (const sequence of [...lane.prefilling]) {
    if (tokens === 0) break;
    if (items.length === maxSequences) {
      lane.stage.reachedBatch = true;
      break;
    }
    if (sequence.scheduled === sequence.target || sequence.state !== 'prefill') continue;
    skipFilled(machine, lane, sequence);
    if (!takePagesAhead(machine, lane, sequence)) {
      if (items.length === 0) giveWay(machine, lane, sequence);
      continue;
    }
    const like = findAlike(machine, lane, sequence);
    // It is there to be copied for the next step.
    if (like !== undefined && filling.has(like.page)) continue;
    const copyOf = like && copyAlike(machine, lane, sequence, like);
    const { scheduled: start, target } = sequence;
    const room = sequence.pages.length * machine.config.pageTokens - start;
    const count = Math.min(target - start, tokens, room);
    addRow(machine, batch, sequence, count, start + count === target, copyOf);
    for (const page of beginFilling(machine, lane, sequence, start, start + count)) filling.add(page);
    tokens -= count;
  }
}
