/**
 * How a stage for both phases may well go where sequences come in order of arrival: steps are formed as the scheduler forms
 * them, rows of decode first and prompt tokens in what room is left, and pass the groups of a pipeline one after the other.
 * No bound.
 *
 * A replica has as many steps in flight as groups. Each takes as many of the sequences that decode as are one for each of
 * these, those that waited longest first. A sequence is let in when batch and pages have room for it and all before it are
 * in. Where pages run out the one that came last gives up its own and goes on later; page moves go beside kernels, behind
 * those that are given to the devices already.
 */
import type { KvView } from '../model/kv-window.js';
import type { Plan, Stage } from '../plan/plan.js';
import type { CourseFigures } from './decode-course.js';
import type { SequencesInOrder } from './decode-rounds.js';
import { linearInKeys } from './linear-in-keys.js';
import type { StageLoad } from './stage-load.js';

/** What of a stage's load both phases need. */
export interface FusedStage extends Pick<StageLoad, 'sizes' | 'stepSeconds'> {
  readonly stage: Pick<Stage, 'mesh' | 'batchRequests'>;
}

interface Sequence {
  /** Its place in the order of arrival. */
  readonly order: number;
  /** That are in steps, or done. */
  tokens: number;
  /** What is left of its prompt, and of its rows of decode. */
  prompt: number;
  rows: number;
  /** When it began to decode, and how many rows it had then. */
  since: number;
  readonly of: number;
  pages: number;
  readonly lastPages: number;
  /** Where one that decodes is. */
  place: 'idle' | 'step' | 'away';
}

interface FlyingStep {
  /** When it is out of the way of the next. */
  readonly at: number;
  /** With a row of decode, and with the last of the prompt. */
  readonly rows: Sequence[];
  readonly ended: readonly Sequence[];
}

interface MovedSequence {
  readonly at: number;
  readonly sequence: Sequence;
}

interface Replica {
  /** When each group is through with all that it was given so far. */
  readonly free: number[];
  readonly steps: FlyingStep[];
  /** When the last step is out of the way of the next. */
  left: number;
  /** Whose pages are on their way to the host tier: one at a time. */
  leaving: MovedSequence | undefined;
  readonly arriving: MovedSequence[];
  /** That decode and are in no step, the one that waited longest first. */
  idle: Sequence[];
  /** With prompt tokens that are in no step yet. */
  readonly prefilling: Sequence[];
  unscheduled: number;
  /** That are in. */
  members: number;
  /** Of these, how many decode, and how many of those have yet to take more pages. */
  running: number;
  growing: number;
  /** That are free. */
  pages: number;
}

interface Course {
  readonly load: FusedStage;
  readonly pageTokens: number;
  readonly overhead: Pick<Plan['topology']['overhead'], 'step' | 'request'>;
  readonly rowsAlone: (count: number, keys: number) => readonly number[];
  readonly replicas: readonly Replica[];
  /** That are to be let in, and before them those that gave up their pages: the first at the end. */
  readonly waiting: Sequence[];
  readonly back: Sequence[];
  /** That are in, on all replicas. */
  members: number;
  now: number;
  /** Of those that decoded and are done, how many, and the sum of their seconds between two tokens. */
  ended: number;
  between: number;
  /** When the host has prepared all steps so far. */
  prepared: number;
}

/**
 * Until all is done.
 *
 * @param room KV pages of a replica
 * @param sequences none of which has begun
 */
export function fusedCourse(
  load: FusedStage,
  room: number,
  sequences: SequencesInOrder,
  { pageTokens }: KvView,
  overhead: Course['overhead'],
): CourseFigures {
  const { dp, pp } = load.stage.mesh;
  const course: Course = {
    ...{ load, pageTokens, overhead, rowsAlone: rowsAlone(load) },
    replicas: Array.from({ length: dp }, () => newReplica(pp, room)),
    waiting: waitingOf(sequences, pageTokens).reverse(),
    back: [],
    ...{ members: 0, now: 0, ended: 0, between: 0, prepared: 0 },
  };
  for (;;) {
    bringBack(course);
    // Prompt tokens that go into steps make room for others to come in.
    do letIn(course);
    while (startSteps(course));
    const now = course.replicas.reduce((first, each) => Math.min(first, nextAt(each)), Infinity);
    if (now === Infinity) {
      const seconds = Math.max(...course.replicas.flatMap(({ free }) => free));
      return { seconds, betweenTokens: course.between / Math.max(1, course.ended), waiting: 0 };
    }
    course.now = now;
    // What comes at one moment comes before all that begins then.
    for (const replica of course.replicas) while (nextAt(replica) === now) goOn(course, replica);
  }
}

/** Starts all steps that can be; whether one of them took prompt tokens. */
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

function newReplica(pp: number, pages: number): Replica {
  return {
    free: Array.from({ length: pp }, () => 0),
    ...{ steps: [], left: 0, leaving: undefined, arriving: [], idle: [], prefilling: [] },
    ...{ unscheduled: 0, members: 0, running: 0, growing: 0, pages },
  };
}

function waitingOf({ computed, prompts, rows }: SequencesInOrder, pageTokens: number): Sequence[] {
  return computed.flatMap((tokens, order) => {
    const [prompt, left] = [prompts[order]!, rows[order]!];
    if (prompt + left === 0) return [];
    const lastPages = Math.ceil((tokens + prompt + left) / pageTokens);
    return [
      { order, tokens, prompt, rows: left, since: 0, of: left, pages: 0, lastPages, place: 'away' as const },
    ];
  });
}

function nextAt({ steps, leaving, arriving }: Replica): number {
  return Math.min(steps[0]?.at ?? Infinity, leaving?.at ?? Infinity, arriving[0]?.at ?? Infinity);
}

/** Goes on to what comes next on the replica: the end of a step, or of a move of pages. */
function goOn(course: Course, replica: Replica): void {
  const { leaving, arriving, steps } = replica;
  if (leaving?.at === course.now) {
    replica.leaving = undefined;
    replica.pages += leaving.sequence.pages;
    course.back.push(leaving.sequence);
  } else if (arriving[0]?.at === course.now) decode(replica, arriving.shift()!.sequence);
  else {
    const { rows, ended } = steps.shift()!;
    finishRows(course, replica, rows);
    for (const each of ended) {
      each.since = course.now;
      if (each.rows > 0) decode(replica, each);
      else leave(course, replica, each);
    }
  }
}

function finishRows(course: Course, replica: Replica, rows: Sequence[]): void {
  // In place where nothing else is idle, as without a pipeline: they are many.
  const idle = replica.idle.length > 0 ? replica.idle : rows;
  let count = idle === rows ? 0 : idle.length;
  for (const each of rows) {
    each.place = 'idle';
    if (each.rows > 0) idle[count++] = each;
    else {
      replica.running--;
      course.ended++;
      course.between += (course.now - each.since) / each.of;
      leave(course, replica, each);
    }
  }
  idle.length = count;
  replica.idle = idle;
}

function decode(replica: Replica, sequence: Sequence): void {
  replica.running++;
  if (sequence.pages < sequence.lastPages) replica.growing++;
  sequence.place = 'idle';
  replica.idle.push(sequence);
}

function leave(course: Course, replica: Replica, { pages }: Sequence): void {
  course.members--;
  replica.members--;
  replica.pages += pages;
}

/** That has the fewest sequences, of those with pages for one more. Those that decode leave a quarter of a page free each. */
function roomiest(
  { replicas }: Course,
  pages: number,
  takes: (replica: Replica) => boolean,
): Replica | undefined {
  let found: Replica | undefined;
  for (const each of replicas) {
    if (each.members > 0 && (each.pages - pages < each.growing / 4 || !takes(each))) continue;
    const fewer = each.members - (found?.members ?? Infinity) || found!.pages - each.pages;
    if (fewer < 0) found = each;
  }
  return found;
}

function take(course: Course, replica: Replica, sequence: Sequence, pages: number): void {
  course.members++;
  replica.members++;
  sequence.pages = pages;
  replica.pages -= pages;
}

/** Sequences that gave up their pages come in again, with a page for the next token. */
function bringBack(course: Course): void {
  const { back, now, pageTokens, load } = course;
  for (let next = back.at(-1); next !== undefined; next = back.at(-1)) {
    if (course.members >= load.stage.batchRequests) return;
    const pages = Math.ceil((next.tokens + 1) / pageTokens);
    const replica = roomiest(course, pages, () => true);
    if (replica === undefined) return;
    back.pop();
    take(course, replica, next, pages);
    replica.arriving.push({ at: Math.max(now, ...replica.free), sequence: next });
  }
}

/** Lets sequences in while the next steps of some replica lack prompt tokens. */
function letIn(course: Course): void {
  const { waiting, back, load, pageTokens } = course;
  const { mesh, batchRequests } = load.stage;
  const enough = load.sizes.maxTokens * mesh.pp;
  for (let next = waiting.at(-1); next !== undefined; next = waiting.at(-1)) {
    if (course.members >= batchRequests || back.length > 0) return;
    const pages = Math.ceil((next.tokens + next.prompt) / pageTokens);
    const replica = roomiest(course, pages, ({ unscheduled }) => unscheduled < enough);
    if (replica === undefined) return;
    waiting.pop();
    take(course, replica, next, pages);
    replica.unscheduled += next.prompt;
    replica.prefilling.push(next);
  }
}

/** Forms a step and lets it pass; false where nothing is to be done. */
function startStep(course: Course, replica: Replica): boolean {
  const { load, overhead } = course;
  const { maxTokens, maxSequences } = load.sizes;
  const { rows, keys: keysOfRows } = takeRows(course, replica);
  const ended: Sequence[] = [];
  let [pairs, keys] = [keysOfRows, keysOfRows];
  let [open, parts] = [maxTokens - rows.length, rows.length];
  const { prefilling, free } = replica;
  while (open > 0 && parts < maxSequences && prefilling.length > 0) {
    const sequence = prefilling[0]!;
    const count = Math.min(open, sequence.prompt);
    pairs += count * sequence.tokens + (count * (count + 1)) / 2;
    sequence.tokens += count;
    keys += sequence.tokens;
    sequence.prompt -= count;
    replica.unscheduled -= count;
    open -= count;
    parts++;
    if (sequence.prompt === 0) ended.push(prefilling.shift()!);
  }
  if (parts === 0) return false;
  const tokens = maxTokens - open;
  const samples = rows.length + ended.length;
  const onlyRows = tokens === rows.length;
  const seconds = onlyRows
    ? course.rowsAlone(tokens, keys)
    : load.stepSeconds({ tokens, samples, pairs, keys });
  course.prepared = Math.max(course.now, course.prepared) + overhead.step + overhead.request * parts;
  let [at, arrived] = [course.prepared, course.prepared];
  for (let place = 0; place < seconds.length; place++) {
    arrived = at;
    at = Math.max(at, free[place]!) + seconds[place]!;
    free[place] = at;
  }
  // The host need not wait for what has nothing to be read, but for exchanges.
  replica.left = samples > 0 || load.stage.mesh.tp > 1 ? at : Math.max(arrived, replica.left);
  replica.steps.push({ at: replica.left, rows, ended });
  return true;
}

/** The sequences that have a row in the next step, and the keys that these see. */
function takeRows(course: Course, replica: Replica): { readonly rows: Sequence[]; readonly keys: number } {
  const { mesh } = course.load.stage;
  const { maxTokens, maxSequences } = course.load.sizes;
  const { idle } = replica;
  const most = Math.min(Math.ceil(replica.running / mesh.pp), maxTokens, maxSequences);
  let [next, count, keys] = [0, 0, 0];
  for (; next < idle.length && count < most; next++) {
    const sequence = idle[next]!;
    if (sequence.place === 'away') continue;
    const isFull = sequence.tokens === sequence.pages * course.pageTokens;
    if (isFull && !grow(course, replica, sequence)) continue;
    keys += ++sequence.tokens;
    sequence.rows--;
    sequence.place = 'step';
    count++;
  }
  // Most steps take all of the first: these are not copied one by one.
  if (count === next && replica.leaving === undefined) {
    const isWhole = next === idle.length;
    replica.idle = isWhole ? [] : idle.slice(next);
    return { rows: isWhole ? idle : idle.slice(0, next), keys };
  }
  replica.idle = idle.filter(({ place }) => place === 'idle');
  return { rows: idle.filter(({ place }) => place === 'step'), keys };
}

/** Takes a page for a sequence; false where there is none, though others may have given up theirs for it. */
function grow(course: Course, replica: Replica, sequence: Sequence): boolean {
  while (replica.pages <= 0)
    if (replica.leaving !== undefined || !giveUp(course, replica, sequence.order)) return false;
  replica.pages--;
  sequence.pages++;
  if (sequence.pages === sequence.lastPages) replica.growing--;
  return true;
}

/** The last sequence that is in no step gives up its pages, if it came after this one: at once where it has not begun. */
function giveUp(course: Course, replica: Replica, order: number): boolean {
  const { prefilling } = replica;
  const prompt = prefilling.at(-1);
  if (prompt !== undefined && prompt.order > order && prefilling.length > 1) {
    prefilling.pop();
    replica.unscheduled -= prompt.prompt;
    leave(course, replica, prompt);
    course.waiting.push(prompt);
    return true;
  }
  let youngest: Sequence | undefined;
  for (const each of replica.idle)
    if (each.place === 'idle' && each.order > (youngest?.order ?? order)) youngest = each;
  if (youngest === undefined) return false;
  youngest.place = 'away';
  replica.running--;
  if (youngest.pages < youngest.lastPages) replica.growing--;
  course.members--;
  replica.members--;
  replica.leaving = { at: Math.max(course.now, ...replica.free), sequence: youngest };
  return true;
}

/** Seconds by place of steps with rows of decode alone. */
function rowsAlone({ stepSeconds }: FusedStage): Course['rowsAlone'] {
  return linearInKeys((count, keys) =>
    stepSeconds({ tokens: count, samples: count, pairs: keys, keys, singleRows: true }),
  );
}
