/**
 * Runtime graphs as files. A graph file is user input: whatever it holds, the answer is a graph or a list of
 * problems in plain words, and a graph that parses has passed the verifier too. What happens to a graph of another
 * build stands in docs/runtime-graph.md, "Versions".
 */
import { RUNTIME_GRAPH_FORMAT, RUNTIME_GRAPH_VERSION, type RuntimeGraph } from './runtime-graph.js';
import { runtimeGraphSchema } from './runtime-schema.js';
import { verifyRuntime } from './verify-runtime.js';

export type ParsedRuntimeGraph =
  | { readonly graph: RuntimeGraph; readonly problems?: undefined }
  | { readonly graph?: undefined; readonly problems: readonly string[] };

const MOST_PROBLEMS = 20;

/** Features that a graph may require of its reader, beside the version: none so far. */
const KNOWN_FEATURES: ReadonlySet<unknown> = new Set();

/** The text of a graph file. */
export function serialiseRuntimeGraph(graph: RuntimeGraph): string {
  return `${JSON.stringify(graph)}\n`;
}

/** Reads a graph from parsed JSON. Never throws. */
export function parseRuntimeGraph(json: unknown): ParsedRuntimeGraph {
  const header = headerProblem(json);
  if (header !== undefined) return { problems: [header] };
  const parsed = runtimeGraphSchema.safeParse(json);
  if (!parsed.success) {
    return shorten(parsed.error.issues.map((issue) => `${showPath(issue.path)}: ${issue.message}`));
  }
  const graph = parsed.data;
  const problems = [...danglingNames(graph)];
  if (problems.length === 0) problems.push(...verifyRuntime(graph));
  return problems.length === 0 ? { graph } : shorten(problems);
}

/** What is wrong with the outermost fields: the errors people really make deserve their own sentence. */
function headerProblem(json: unknown): string | undefined {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return 'this is not a runtime graph';
  const { format, version, requires } = json as Readonly<Record<string, unknown>>;
  if (format !== RUNTIME_GRAPH_FORMAT)
    return `this is not a runtime graph: \`format\` is not "${RUNTIME_GRAPH_FORMAT}"`;
  return version === RUNTIME_GRAPH_VERSION ? requirementProblem(requires) : versionProblem(version);
}

function versionProblem(version: unknown): string {
  const newer = typeof version === 'number' && version > RUNTIME_GRAPH_VERSION;
  const known = `${newer ? 'written by a newer Fulcrum; this one' : 'this Fulcrum'} reads version ${RUNTIME_GRAPH_VERSION}`;
  return `the graph is of version ${JSON.stringify(version)}; ${known}: compile the plan again`;
}

/** A graph that uses what readers of its version may not know names it, so that they refuse it and not a part of it. */
function requirementProblem(requires: unknown): string | undefined {
  if (requires === undefined) return undefined;
  if (!Array.isArray(requires)) return 'requires: not a list of features';
  const unknown = requires.filter((feature) => !KNOWN_FEATURES.has(feature));
  if (unknown.length === 0) return undefined;
  const named = unknown.map((feature) => JSON.stringify(feature)).join(', ');
  return `the graph requires ${named}, which this Fulcrum does not know: compile the plan again`;
}

/** References by name that the verifier takes for granted. */
function danglingNames(graph: RuntimeGraph): readonly string[] {
  const problems: string[] = [];
  const names = graph.stages.map((stage) => stage.name);
  const known = (name: string, where: string): void => {
    if (!names.includes(name))
      problems.push(`${where} names stage ${JSON.stringify(name)}, which the graph does not have`);
  };
  if (new Set(names).size !== names.length) problems.push('two stages have the same name');
  graph.flow.stages.forEach((name) => known(name, 'flow'));
  graph.flow.rules.forEach((rule) => known(rule.to, 'a flow rule'));
  graph.transitions.forEach(({ from, to }) => [from, to].forEach((name) => known(name, 'a transition')));
  graph.kv.edges.forEach(({ from, to }) => [from, to].forEach((name) => known(name, 'a kv edge')));
  if (graph.kv.edges.some((edge) => edge.path === 'tier') && graph.hostTier === undefined) {
    problems.push('KV goes through a tier, and the graph has no `hostTier`');
  }
  if (graph.diskTier !== undefined && graph.hostTier === undefined) {
    problems.push('pages reach `diskTier` through host memory, and the graph has no `hostTier`');
  }
  return problems;
}

/** `stages[0].programs[1].ops`. */
function showPath(path: readonly PropertyKey[]): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return text.replace(/^\./, '') || 'the graph';
}

function shorten(problems: readonly string[]): ParsedRuntimeGraph {
  if (problems.length <= MOST_PROBLEMS) return { problems };
  return { problems: [...problems.slice(0, MOST_PROBLEMS), `and ${problems.length - MOST_PROBLEMS} more`] };
}
