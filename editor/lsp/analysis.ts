/**
 * The upper rungs of the ladder: a file is checked, its plans are compiled, and the first workload is simulated. Each
 * rung gives a plain value that can be sent between threads; a caller that has something newer to look at stops in
 * between.
 */
import { checkFile, type CheckResult } from '../../compiler/check/check-file.js';
import {
  compileChecked,
  type CheckedAndCompiled,
  type CompiledPlan,
} from '../../compiler/check-and-compile.js';
import type { Diagnostic } from '../../compiler/diagnostics/diagnostic.js';
import type { CompilerHost } from '../../compiler/host.js';
import { drawRequests } from '../../runtime/clock/lengths.js';
import { simulate } from '../../runtime/clock/simulate.js';
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

/** Climbs rung by rung; every step of the iterator is one. */
export function* analyse(host: CompilerHost, path: string): Generator<Analysis> {
  const checked = checkFile(host, path);
  const { files } = checked;
  yield { path, rung: 'checked', diagnostics: checked.diagnostics, notes: [], files };
  const compiled = compileChecked(checked, path);
  const notes = planNotes(path, compiled.compiled);
  const { diagnostics } = compiled;
  yield { path, rung: 'compiled', diagnostics, notes, files };
  const predicted = predictions(path, checked, compiled);
  if (predicted.length > 0) {
    yield { path, rung: 'simulated', diagnostics, notes: [...notes, ...predicted], files };
  }
}

/** Requests per second of every sound plan of the file, for its first workload. */
function predictions(
  path: string,
  { workloads }: CheckResult,
  { compiled }: CheckedAndCompiled,
): readonly PlanNote[] {
  const [workload] = workloads;
  const { requests } = workload ?? {};
  if (workload === undefined || requests?.kind !== 'drawn' || requests.count > MOST_REQUESTS) return [];
  const runs = ({ plan, result }: CompiledPlan): boolean =>
    plan.origin.file === path &&
    result.runtime.stages.length > 0 &&
    !result.diagnostics.some(({ severity }) => severity === 'error');
  return compiled.filter(runs).map(({ plan, result }) => {
    const drawn = drawRequests(requests, plan.model.shape.context);
    const { makespan, tokens } = simulate(result.runtime, plan, drawn);
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
