/**
 * The upper rungs of the ladder: a file is checked, its plans are compiled, and the first workload is simulated. Each
 * rung gives a plain value that can be sent between threads; a caller that has something newer to look at stops in
 * between.
 */
import { checkFile, type CheckResult } from '../../compiler/check/check-file.js';
import {
  compileChecked,
  withSimulated,
  type CheckedAndCompiled,
  type CompiledPlan,
} from '../../compiler/check-and-compile.js';
import type { Diagnostic } from '../../compiler/diagnostics/diagnostic.js';
import type { CompilerHost } from '../../compiler/host.js';
import { drawRequests } from '../../runtime/clock/lengths.js';
import { simulate } from '../../runtime/clock/simulate.js';
import {
  checkSimulated,
  expectsOfRuns,
  workloadsExpected,
} from '../../runtime/expectations/simulate-expectations.js';
import { createCompileMemory, type CompileMemory } from './compile-memory.js';
import { planNotes, type PlanNote } from './plan-notes.js';

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

/**
 * Climbs rung by rung; every step of the iterator is one.
 *
 * @param memory what earlier looks compiled
 */
export function* analyse(
  host: CompilerHost,
  path: string,
  memory: CompileMemory = createCompileMemory(),
): Generator<Analysis> {
  const checked = checkFile(host, path);
  const { files } = checked;
  yield { path, rung: 'checked', diagnostics: checked.diagnostics, notes: [], files };
  const compiled = compileChecked(checked, path, { everyValue: true, compile: memory.compile });
  const notes = planNotes(path, compiled.compiled);
  const { diagnostics } = compiled;
  yield { path, rung: 'compiled', diagnostics, notes, files };
  const predicted = predictions(path, checked, compiled, memory);
  const simulated = simulatedExpectations(checked, compiled, memory);
  if (predicted.length > 0 || simulated !== undefined) {
    const found = simulated === undefined ? compiled : withSimulated(checked, path, compiled, simulated);
    yield {
      path,
      rung: 'simulated',
      diagnostics: found.diagnostics,
      notes: [...notes, ...predicted],
      files,
    };
  }
}

/** What simulating finds of the plans that expect something of runs; undefined where none does. */
function simulatedExpectations(
  { workloads }: CheckResult,
  { compiled }: CheckedAndCompiled,
  memory: CompileMemory,
): readonly Diagnostic[] | undefined {
  const expecting = compiled.filter(({ plan, result }) => expectsOfRuns(plan) && isSound(result));
  if (expecting.length === 0) return undefined;
  return expecting.flatMap(({ plan, result: { runtime, transitions } }) =>
    workloadsExpected({ plan }, workloads).flatMap((workload) => {
      const { requests } = workload;
      if (requests.kind !== 'drawn' || requests.count > MOST_REQUESTS) return [];
      const drawn = drawRequests(requests, plan.model.shape.context);
      // Diagnostics have places, which move: what is recalled is whether there are any.
      let found: readonly Diagnostic[] | undefined;
      const check = (): readonly Diagnostic[] =>
        (found ??= checkSimulated({ plan, runtime, transitions }, workload, drawn));
      const kept = memory.recall(plan, `kept ${JSON.stringify(requests)}`, () => check().length === 0);
      return kept ? [] : check();
    }),
  );
}

function isSound({ runtime, diagnostics }: CompiledPlan['result']): boolean {
  return runtime.stages.length > 0 && !diagnostics.some(({ severity }) => severity === 'error');
}

/** Requests per second of every sound plan of the file, for its first workload. */
function predictions(
  path: string,
  { workloads }: CheckResult,
  { compiled }: CheckedAndCompiled,
  memory: CompileMemory,
): readonly PlanNote[] {
  const [workload] = workloads;
  const { requests } = workload ?? {};
  if (workload === undefined || requests?.kind !== 'drawn' || requests.count > MOST_REQUESTS) return [];
  const runs = ({ plan, result }: CompiledPlan): boolean => plan.origin.file === path && isSound(result);
  return compiled.filter(runs).map(({ plan, result }) => {
    const drawn = drawRequests(requests, plan.model.shape.context);
    const { makespan, tokens } = memory.recall(plan, `run ${JSON.stringify(requests)}`, () => {
      const simulation = simulate(result.runtime, plan, drawn);
      return { makespan: simulation.makespan, tokens: simulation.tokens };
    });
    const rate = (drawn.length / makespan).toPrecision(3);
    return {
      at: plan.origin,
      text: `${Number(rate)} requests/s predicted for ${workload.name}`,
      detail:
        `Simulated: ${drawn.length} requests of \`${workload.name}\` in ${makespan.toPrecision(3)} s, ` +
        `${Math.round((tokens.prompt + tokens.output) / makespan)} tokens/s.`,
    };
  });
}
