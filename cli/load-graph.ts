/** A runtime graph from a file named on the command line, that of a plan or one that was compiled before. */
import { readFileSync } from 'node:fs';
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { parseRuntimeGraph } from '../compiler/ir/runtime-json.js';
import { RuntimeFailure } from '../runtime/failure.js';
import { systemReason } from '../runtime/system-reason.js';
import { EXIT } from './exit-codes.js';
import { loadPlan, type Loaded, type LoadedPlan, type PlanOptions } from './load-plan.js';
import { fail, type Terminal } from './terminal.js';

/** The runtime graph of a plan file with its source, or the one that a `.json` file holds. */
export function loadGraph(
  file: string,
  options: PlanOptions,
  terminal: Terminal,
): Loaded<{ readonly graph: RuntimeGraph; readonly source?: LoadedPlan }> {
  if (!file.endsWith('.json')) {
    const loaded = loadPlan(file, options, terminal);
    return loaded.kind === 'failed'
      ? loaded
      : { kind: 'loaded', graph: loaded.compiled.runtime, source: loaded };
  }
  if (options.plan !== undefined || options.set !== undefined) {
    fail(terminal, `${file} is a compiled plan: --plan and --set have no meaning for it`);
    return { kind: 'failed', exit: EXIT.usage };
  }
  const parsed = parseRuntimeGraph(readJson(file));
  if (parsed.graph !== undefined) return { kind: 'loaded', graph: parsed.graph };
  throw unusableGraph(file, parsed.problems);
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw unusableGraph(path, [systemReason(cause)]);
  }
}

/** The first problems; one damaged place makes many. */
const GRAPH_PROBLEMS_SHOWN = 3;

function unusableGraph(path: string, problems: readonly string[]): RuntimeFailure {
  const shown = problems.slice(0, GRAPH_PROBLEMS_SHOWN).join('\n  ');
  const more = problems.length > GRAPH_PROBLEMS_SHOWN ? '\n  and more' : '';
  return new RuntimeFailure('FC0920', `cannot run the graph in ${path}: ${shown}${more}`, {
    subject: path,
    help: 'write it again with `fulcrum compile PLAN -o FILE`',
  });
}
