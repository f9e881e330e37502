/**
 * An estimate of a stage for both phases, step by step, where sequences come in order of arrival: steps are formed as
 * the scheduler forms them, rows of decode first and prompt tokens in what room is left, and pass the groups of a
 * pipeline one after the other. No bound.
 *
 * A replica has as many steps in flight as groups. Each takes as many of the sequences that decode as are one for each of
 * these, those that waited longest first. A sequence is let in when batch and pages have room for it and all before it are
 * in. Where pages run out the one that came last gives up its own and goes on later; page moves go beside kernels, behind
 * those that are given to the devices already.
 */
import { prepare } from '../cost/host-queue.js';
import { pairsOf } from '../cost/kernel-work.js';
import { once } from '../once.js';
import type { Stage } from '../plan/plan.js';
import type { HostTimes } from './bounded-plan.js';
import type { CourseSetting } from './course-setting.js';
import type { CourseFigures } from './decode-course.js';
import {
  beginRows,
  endRows,
  enter,
  leave,
  newReplica,
  sequencesOf,
  takeRows,
  type Replica,
  type Sequences,
} from './fused-replica.js';
import { hostsOf } from './hosts.js';
import { linesInKeys, type LineInKeys } from './linear-in-keys.js';
import { skipRounds } from './quiet-rounds.js';
import type { StageLoad } from './stage-load.js';

/**
 * The part of `StageLoad` that simulating one stage for prefill and decode needs: step limits, the cost of a step, mesh
 * and batch.
 */
export interface FusedStage extends Pick<StageLoad, 'sizes' | 'stepSeconds'> {
  readonly stage: Pick<Stage, 'mesh' | 'batchRequests'>;
}

/** What a course comes to, and how far it used what the batch allows. */
export interface FusedFigures extends CourseFigures {
  /** Whether the batch, or the sequences that a step may have, ever held anything back. */
  readonly reachedBatch: boolean;
  /** The most sequences that were let in at once, on all replicas. */
  readonly mostIn: number;
  /** The most sequences that a step had. */
  readonly mostOfStep: number;
}

/** The state of a course. Sequences are known by their index in the order of arrival. */
interface Course {
  readonly load: FusedStage;
  readonly overhead: HostTimes;
  /** Seconds of steps with so many rows of decode alone, by pipeline stage. */
  readonly rowsAlone: (count: number) => readonly LineInKeys[];
  readonly sequences: Sequences;
  /** Decode rows of each sequence, in all. */
  readonly rows: readonly number[];
  readonly replicas: readonly Replica[];
  /** Sequences that are still to be let in, the first of them at the end. */
  readonly waiting: number[];
  /** Sequences that gave up their pages, the first to come back at the end. They come before those that wait. */
  readonly back: number[];
  /** Sequences that are let in, on all replicas. */
  members: number;
  /** Seconds. */
  now: number;
  /** Sequences that decoded and are done. */
  ended: number;
  /** The sum of their seconds between two tokens. */
  between: number;
  reachedBatch: boolean;
  mostIn: number;
  mostOfStep: number;
}

/** As of any course: here copy engines make no difference. */
export type FusedSetting = Omit<CourseSetting, 'copyEngines'>;

/**
 * Estimates all prefill and decode of some sequences, of which none has begun to decode, and none has rows without a
 * prompt.
 */
export function fusedCourse(
  load: FusedStage,
  { room, sequences: inOrder, kv, overhead }: FusedSetting,
): FusedFigures {
  const { dp, pp } = load.stage.mesh;
  const sequences = sequencesOf(inOrder, kv.pageTokens);
  const all = inOrder.rows.flatMap((rows, index) => (rows + inOrder.prompts[index]! === 0 ? [] : [index]));
  const course: Course = {
    load,
    overhead,
    rowsAlone: rowsAlone(load),
    sequences,
    rows: inOrder.rows,
    replicas: hostsOf(overhead, dp).map((host) => newReplica(host, pp, room, all.length)),
    waiting: all.reverse(),
    back: [],
    members: 0,
    now: 0,
    ended: 0,
    between: 0,
    reachedBatch: false,
    mostIn: 0,
    mostOfStep: 0,
  };
  for (;;) {
    bringBack(course);
    // Prompt tokens that go into steps make room for others to come in.
    do letIn(course);
    while (startSteps(course));
    skipRounds(course.replicas, sequences, course);
    let now = Infinity;
    for (const each of course.replicas) now = Math.min(now, nextAt(each));
    if (now === Infinity) {
      const seconds = Math.max(...course.replicas.flatMap(({ free }) => [...free]));
      const { between, ended, reachedBatch, mostIn, mostOfStep } = course;
      return { seconds, betweenTokens: between / Math.max(1, ended), reachedBatch, mostIn, mostOfStep };
    }
    course.now = now;
    // What comes at one moment comes before all that begins then.
    for (const replica of course.replicas) while (nextAt(replica) === now) goOn(course, replica);
  }
}

/** Starts all steps that can be started; returns whether any of them took prompt tokens. */
function startSteps(course: Course): boolean {
  let prompts = false;
  for (const replica of course.replicas)
    while (replica.steps.length < course.load.stage.mesh.pp) {
      const { unscheduled } = replica;
      if (!startStep(course, replica)) break;
      prompts ||= replica.unscheduled < unscheduled;
    }
  return prompts;
}

/** Seconds at which the next thing happens on a replica: a step or a move of pages ends. */
function nextAt({ steps, leaving, arriving }: Replica): number {
  let at = steps.length > 0 ? steps[0]!.at : Infinity;
  if (leaving !== undefined && leaving.at < at) at = leaving.at;
  if (arriving.length > 0 && arriving[0]!.at < at) at = arriving[0]!.at;
  return at;
}

/** Goes on to what comes next on the replica: the end of a step, or of a move of pages. */
function goOn(course: Course, replica: Replica): void {
  const { leaving, arriving, steps } = replica;
  const { sequences, now } = course;
  if (leaving?.at === now) {
    replica.leaving = undefined;
    replica.pages += sequences.pages[leaving.sequence]!;
    course.back.push(leaving.sequence);
  } else if (arriving.length > 0 && arriving[0]!.at === now)
    beginRows(replica, sequences, arriving.shift()!.sequence);
  else {
    const step = steps.shift()!;
    endRows(replica, sequences, step, (each) => {
      course.ended++;
      course.between += (now - sequences.since[each]!) / course.rows[each]!;
      leaveCourse(course, replica, each);
    });
    for (const each of step.ended) {
      sequences.since[each] = now;
      if (course.rows[each]! > 0) beginRows(replica, sequences, each);
      else leaveCourse(course, replica, each);
    }
  }
}

function joinCourse(course: Course): void {
  course.members++;
  if (course.members > course.mostIn) course.mostIn = course.members;
}

function leaveCourse(course: Course, replica: Replica, sequence: number): void {
  course.members--;
  leave(replica, course.sequences, sequence);
}

/**
 * The replica with the fewest sequences, of those with `pages` free pages for one more. Sequences that decode leave a
 * quarter of a page free each.
 *
 * @param enough prompt tokens in no step, with which a replica that has others takes no more
 */
function roomiest({ replicas }: Course, pages: number, enough: number): Replica | undefined {
  let found: Replica | undefined;
  for (const each of replicas) {
    const takesNone = each.pages - pages < each.growing / 4 || each.unscheduled >= enough;
    if (each.members > 0 && takesNone) continue;
    const fewer = each.members - (found?.members ?? Infinity) || found!.pages - each.pages;
    if (fewer < 0) found = each;
  }
  return found;
}

/** Whether the batch is full, so that no sequence that waits may come in. */
function isFull(course: Course): boolean {
  if (course.members < course.load.stage.batchRequests) return false;
  course.reachedBatch = true;
  return true;
}

/** Sequences that gave up their pages come in again, with a page for the next token. */
function bringBack(course: Course): void {
  const { back, now, sequences } = course;
  for (let next = back.at(-1); next !== undefined; next = back.at(-1)) {
    if (isFull(course)) return;
    const pages = Math.ceil((sequences.tokens[next]! + 1) / sequences.pageTokens);
    const replica = roomiest(course, pages, Infinity);
    if (replica === undefined) return;
    back.pop();
    joinCourse(course);
    enter(replica, sequences, next, pages);
    replica.arriving.push({ at: Math.max(now, ...replica.free), sequence: next });
  }
}

/** Lets sequences in while the next steps of some replica lack prompt tokens. */
function letIn(course: Course): void {
  const { waiting, back, load, sequences } = course;
  const { tokens, prompt, pageTokens } = sequences;
  const enough = load.sizes.maxTokens * load.stage.mesh.pp;
  for (let next = waiting.at(-1); next !== undefined; next = waiting.at(-1)) {
    if (isFull(course) || back.length > 0) return;
    const pages = Math.ceil((tokens[next]! + prompt[next]!) / pageTokens);
    const replica = roomiest(course, pages, enough);
    if (replica === undefined) return;
    waiting.pop();
    joinCourse(course);
    enter(replica, sequences, next, pages);
    replica.unscheduled += prompt[next]!;
    replica.prefilling.push(next);
  }
}

/** Forms a step and lets it pass; false where nothing is to be done. */
function startStep(course: Course, replica: Replica): boolean {
  const { load, overhead, sequences, now, waiting } = course;
  const { mesh } = load.stage;
  const { maxTokens, maxSequences } = load.sizes;
  const { prefilling, free, host } = replica;
  const [begun, { leaving }] = [waiting.length, replica];
  const most = Math.min(Math.ceil(replica.running / mesh.pp), maxTokens, maxSequences);
  const { rows, keys: keysOfRows, lasts } = takeRows(replica, sequences, most, now, waiting);
  course.members -= waiting.length - begun + (replica.leaving === leaving ? 0 : 1);
  const { tokens, prompt } = sequences;
  let ended: number[] | undefined;
  let [pairs, keys] = [keysOfRows, keysOfRows];
  let [open, parts] = [maxTokens - rows, rows];
  while (open > 0 && parts < maxSequences && prefilling.length > 0) {
    const sequence = prefilling[0]!;
    const count = Math.min(open, prompt[sequence]!);
    pairs += pairsOf(tokens[sequence]!, count);
    tokens[sequence]! += count;
    keys += tokens[sequence]!;
    prompt[sequence]! -= count;
    replica.unscheduled -= count;
    open -= count;
    parts++;
    if (prompt[sequence] === 0) (ended ??= []).push(prefilling.shift()!);
  }
  if (parts === 0) return false;
  if (parts >= maxSequences) course.reachedBatch = true;
  if (parts > course.mostOfStep) course.mostOfStep = parts;
  const carried = maxTokens - open;
  const samples = rows + (ended?.length ?? 0);
  const lines = carried === rows ? course.rowsAlone(rows) : undefined;
  const seconds = lines ? undefined : load.stepSeconds({ tokens: carried, samples, pairs, keys });
  const prepared = prepare(host, now, overhead.step + overhead.request * parts);
  let [at, arrived] = [prepared, prepared];
  for (let pp = 0; pp < free.length; pp++) {
    arrived = at;
    at = Math.max(at, free[pp]!) + (seconds?.[pp] ?? lines![pp]!.few + (keys - rows) * lines![pp]!.perKey);
    free[pp] = at;
  }
  // The host need not wait for what has nothing to be read, but for exchanges.
  replica.left = samples > 0 || mesh.tp > 1 ? at : Math.max(arrived, replica.left);
  replica.steps.push({ at: replica.left, rows, keys: keysOfRows, lasts, ended: ended ?? NONE });
  return true;
}

const NONE: readonly number[] = [];

function rowsAlone({ stepSeconds }: FusedStage): Course['rowsAlone'] {
  return once((count) =>
    linesInKeys(count, (keys) =>
      stepSeconds({ tokens: count, samples: count, pairs: keys, keys, singleRows: true }),
    ),
  );
}
