/**
 * The upper rungs of the ladder: a file is checked, its plans are compiled, and the first workload is simulated. Each
 * rung gives a plain value that can be sent between threads. Above the check there are pauses behind every plan, where
 * a caller that has something newer to look at stops.
 */
import { createHash } from 'node:crypto';
import { dirname, relative } from 'node:path';
import { checkFile, type CheckResult } from '../../compiler/check/check-file.js';
import {
  canRun,
  compileInSteps,
  withSimulated,
  type CheckedAndCompiled,
} from '../../compiler/check-and-compile.js';
import type { Diagnostic } from '../../compiler/diagnostics/diagnostic.js';
import { inOrder } from '../../compiler/diagnostics/in-order.js';
import type { CompilerHost } from '../../compiler/host.js';
import type { Workload } from '../../compiler/plan/workload.js';
import { drawRequests } from '../../runtime/clock/lengths.js';
import {
  readLengthsFile,
  requestsFile,
  unreadableWorkloads,
  type ReadLengths,
} from '../../runtime/clock/lengths-file.js';
import { simulate } from '../../runtime/clock/simulate.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import {
  checkSimulated,
  expectsOfRuns,
  workloadsExpected,
} from '../../runtime/expectations/simulate-expectations.js';
import { createCompileMemory, type CompileMemory } from './compile-memory.js';
import { NO_FOLDER } from './open-host.js';
import { planNotes, type PlanNote } from './plan-notes.js';
import { isLocal } from './uri.js';

export type Rung = 'checked' | 'compiled' | 'simulated';

/** What is known of a file at a rung. */
export interface Analysis {
  readonly path: string;
  readonly rung: Rung;
  readonly diagnostics: readonly Diagnostic[];
  /** Figures to show beside lines; none below `compiled`. */
  readonly notes: readonly PlanNote[];
  /** Texts of all files that took part, by path. */
  readonly files: ReadonlyMap<string, string>;
}

/** Larger workloads take too long to be simulated beside an editor. */
const MOST_REQUESTS = 2000;

/** The check of a file, with what workloads have to read. */
interface Look {
  readonly checked: CheckResult;
  readonly read: Read;
  /** Diagnostics of a rung with those of files of lengths that cannot be read. */
  readonly withUnread: (found: readonly Diagnostic[]) => readonly Diagnostic[];
}

function look(host: CompilerHost, path: string): Look {
  const checked = checkFile(host, path);
  const read = isLocal(path) ? readOnce() : () => UNREADABLE;
  const unread = unreadableWorkloads(checked.workloads, (file) => relative(dirname(path), file), read);
  return {
    checked,
    read,
    withUnread: (found) => (unread.length === 0 ? found : inOrder([...found, ...unread], path)),
  };
}

/** The lowest rung: the file is checked. */
export function checkedRung(host: CompilerHost, path: string): Analysis {
  const { checked, withUnread } = look(host, path);
  const { diagnostics, files } = checked;
  return { path, rung: 'checked', diagnostics: withUnread(diagnostics), notes: [], files };
}

/**
 * The rungs above the check; nothing at each of the pauses in between.
 *
 * @param memory what earlier looks compiled
 */
export function* upperRungs(
  host: CompilerHost,
  path: string,
  memory: CompileMemory = createCompileMemory(),
): Generator<Analysis | undefined> {
  const looked = look(host, path);
  const { checked, withUnread } = looked;
  const { files } = checked;
  const compiled = yield* compileInSteps(checked, path, { everyValue: true, compile: memory.compile });
  const notes = planNotes(path, compiled.compiled);
  yield { path, rung: 'compiled', diagnostics: withUnread(compiled.diagnostics), notes, files };
  const predicted = yield* predictions(path, looked, compiled, memory);
  const simulated = yield* simulatedExpectations(looked, compiled, memory);
  if (predicted.length > 0 || simulated !== undefined) {
    const found = simulated === undefined ? compiled : withSimulated(checked, path, compiled, simulated);
    yield {
      path,
      rung: 'simulated',
      diagnostics: withUnread(found.diagnostics),
      notes: [...notes, ...predicted],
      files,
    };
  }
}

const UNREADABLE: ReadLengths = { kind: 'unreadable', why: NO_FOLDER };

type Read = (file: string) => ReadLengths;

/** Reads every file of lengths at most once, so that all that is said of it speaks of one text. */
function readOnce(): Read {
  const known = new Map<string, ReadLengths>();
  return (file) => {
    const found = known.get(file) ?? readLengthsFile(file);
    known.set(file, found);
    return found;
  };
}

/** The requests of a workload, drawn or read; undefined where there are none, or too many to simulate here. */
function requestsOf(
  { requests }: Workload,
  context: number,
  read: Read,
): readonly SimulatedRequest[] | undefined {
  if (requests.kind === 'drawn')
    return requests.count > MOST_REQUESTS ? undefined : drawRequests(requests, context);
  const found = read(requestsFile(requests));
  return found.kind === 'requests' && found.requests.length <= MOST_REQUESTS ? found.requests : undefined;
}

/** What an answer about these requests is recalled by. */
function keyOf(requests: readonly SimulatedRequest[]): string {
  return createHash('sha256').update(JSON.stringify(requests)).digest('hex');
}

/** What simulating finds of the plans that expect something of runs; undefined where none does. */
function* simulatedExpectations(
  { checked: { workloads }, read }: Look,
  { compiled }: CheckedAndCompiled,
  memory: CompileMemory,
): Generator<undefined, readonly Diagnostic[] | undefined> {
  const expecting = compiled.filter(({ plan, result }) => expectsOfRuns(plan) && canRun(result));
  if (expecting.length === 0) return undefined;
  const all: Diagnostic[] = [];
  for (const { plan, result } of expecting) {
    const { runtime, transitions } = result;
    for (const workload of workloadsExpected({ plan }, workloads)) {
      const requests = requestsOf(workload, plan.model.shape.context, read);
      if (requests === undefined) continue;
      // Diagnostics have places, which move: what is recalled is whether there are any.
      let found: readonly Diagnostic[] | undefined;
      const check = (): readonly Diagnostic[] =>
        (found ??= checkSimulated({ plan, runtime, transitions }, workload, requests));
      const kept = memory.recall(plan, `kept ${keyOf(requests)}`, () => check().length === 0);
      if (!kept) all.push(...check());
      yield;
    }
  }
  return all;
}

/** Requests per second of every plan of the file that can run, for its first workload. */
function* predictions(
  path: string,
  { checked, read }: Look,
  { compiled }: CheckedAndCompiled,
  memory: CompileMemory,
): Generator<undefined, readonly PlanNote[]> {
  const [workload] = checked.workloads;
  if (workload === undefined) return [];
  const notes: PlanNote[] = [];
  for (const { plan, result } of compiled) {
    if (plan.origin.file !== path || !canRun(result)) continue;
    const requests = requestsOf(workload, plan.model.shape.context, read);
    if (requests === undefined) continue;
    const { makespan, tokens } = memory.recall(plan, `run ${keyOf(requests)}`, () => {
      const simulation = simulate(result.runtime, plan, requests);
      return { makespan: simulation.makespan, tokens: simulation.tokens };
    });
    // Where no request can be held there is no time, and no rate.
    if (makespan > 0) {
      const rate = (requests.length / makespan).toPrecision(3);
      notes.push({
        at: plan.origin,
        text: `${Number(rate)} requests/s predicted for ${workload.name}`,
        detail:
          `Simulated: ${requests.length} requests of \`${workload.name}\` in ${makespan.toPrecision(3)} s, ` +
          `${Math.round((tokens.prompt + tokens.output) / makespan)} tokens/s.`,
      });
    }
    yield;
  }
  return notes;
}
