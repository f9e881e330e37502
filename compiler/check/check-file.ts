/**
 * From a plan file to checked plans: load it and its imports, settle the params, check every declaration. Any input
 * gets an answer; what is wrong with it is in `diagnostics`, and a plan without errors is in `plans`.
 */
import type { ModelDecl, SourceFile, TopologyDecl, WorkloadDecl } from '../../grammar/syntax.js';
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import { inOrder } from '../diagnostics/in-order.js';
import { groupBy } from '../group-by.js';
import type { CompilerHost } from '../host.js';
import type { Plan } from '../plan/plan.js';
import { hasLengths, type DrawnWorkload, type Workload } from '../plan/workload.js';
import { readAllowances, sift, type AllowedDiagnostic, type Allowance } from './allowances.js';
import { checkDevice } from './check-device.js';
import { checkModel, type CheckedModel } from './check-model.js';
import { checkTopology, type CheckedTopology } from './check-topology.js';
import { checkWorkload } from './check-workload.js';
import { libraryFileOf, load, textsOf } from './load.js';
import { mergeRounds } from './param-rounds.js';
import { readParams, type Assignment, type ParamDomains } from './params.js';
import { checkPlan } from './plan/check-plan.js';
import { suggestions, within, type Context, type ParamValue, type Scope } from './scope.js';

export interface CheckOptions {
  /** Values of params as text, by name. */
  readonly set?: Readonly<Record<string, string>>;
  /** Check these plans only, and what they need. */
  readonly plans?: readonly string[];
}

export interface CheckResult {
  readonly file: SourceFile | undefined;
  /** The plans of the file that have no errors, in order. */
  readonly plans: readonly Plan[];
  /** Those that the file declares. */
  readonly workloads: readonly Workload[];
  /** Those that it imports, by the names that they have there: they are for who asks for one, and settle open meshes where the file declares none with lengths. */
  readonly importedWorkloads: readonly Workload[];
  readonly diagnostics: readonly Diagnostic[];
  /** Warnings that the files accept, and the lines that say so. */
  readonly allowed: readonly AllowedDiagnostic[];
  readonly allowances: readonly Allowance[];
  /** Texts of all files that took part, by path; the library's are under `std/`. */
  readonly files: ReadonlyMap<string, string>;
  /** What combinations of values of params make of the plans, the chosen one first. */
  readonly rounds: readonly CheckedRound[];
  /** How many there are: more than `rounds` where that is too many to check. */
  readonly combinations: number;
  readonly domains: ParamDomains;
  /** All of the file was looked at, not some plans alone. */
  readonly whole: boolean;
}

export interface CheckedRound {
  readonly assignment: Assignment;
  readonly plans: readonly Plan[];
}

/** Checks the plan file at `path`. Never throws for what the file says. */
export function checkFile(host: CompilerHost, path: string, options: CheckOptions = {}): CheckResult {
  const before: Diagnostic[] = [];
  const tell = (d: Diagnostic): void => void before.push(d);
  const loaded = load(host, path, tell);
  const { root } = loaded;
  const allowances = [...loaded.scopes.values()].flatMap((scope) => readAllowances(scope, tell));
  const whole = options.plans === undefined;
  if (!root) {
    const nothing = { plans: [], workloads: [], importedWorkloads: [], allowed: [], rounds: [] };
    const unknown = { allowances, combinations: 1, domains: new Map(), whole };
    return { ...nothing, ...unknown, file: undefined, diagnostics: before, files: textsOf(loaded) };
  }

  // A param may not depend on another: there would be no telling which values belong together.
  const contexts = [root, ...[...loaded.scopes.values()].filter((s) => s !== root)].map((scope): Context => ({
    scope,
    host,
    report: tell,
    library: libraryFileOf,
    param: () => undefined,
  }));
  const rounds = readParams(contexts, root, options.set ?? {});
  for (const plan of options.plans ?? []) reportUnknownPlan(root, plan, tell);

  const results = [rounds.chosen, ...rounds.others].map((assignment) => ({
    assignment,
    ...checkRound(root, host, assignment, options.plans),
  }));
  const { combinations, domains } = rounds;
  const merged = mergeRounds(results, domains);
  const { kept, allowed } = sift(inOrder([...before, ...merged], path), allowances);
  const { plans, workloads, importedWorkloads } = results[0]!;
  return {
    file: root.file,
    plans,
    workloads,
    importedWorkloads,
    diagnostics: kept,
    allowed,
    allowances,
    files: textsOf(loaded),
    rounds: results.map(({ assignment, plans: made }) => ({ assignment, plans: made })),
    combinations,
    domains,
    whole,
  };
}

interface Round {
  readonly plans: readonly Plan[];
  readonly workloads: readonly Workload[];
  readonly importedWorkloads: readonly Workload[];
  readonly found: readonly Diagnostic[];
}

function checkRound(
  root: Scope,
  host: CompilerHost,
  assignment: Assignment,
  only: readonly string[] | undefined,
): Round {
  const found: Diagnostic[] = [];
  const cx: Context = {
    scope: root,
    host,
    report: (d) => void found.push(d),
    library: libraryFileOf,
    param: (decl) => assignment.get(decl),
  };
  const models = new Map<ModelDecl, CheckedModel | undefined>();
  const topologies = new Map<TopologyDecl, CheckedTopology | undefined>();
  const model = (decl: ModelDecl, from: Context): CheckedModel | undefined =>
    remember(models, decl, () => checkModel(decl, from));
  const topology = (decl: TopologyDecl, from: Context): CheckedTopology | undefined =>
    remember(topologies, decl, () => checkTopology(decl, from));

  const known = new Map<WorkloadDecl, Workload | undefined>();
  const workload = (decl: WorkloadDecl, from: Context): Workload | undefined =>
    remember(known, decl, () => checkWorkload(decl, from));

  const workloads: Workload[] = [];
  for (const item of root.file.items) {
    if (item.kind === 'workload') {
      const checked = workload(item, cx);
      if (checked) workloads.push(checked);
    } else if (item.kind === 'device') checkDevice(item, cx);
    else if (item.kind === 'topology') topology(item, cx);
    else if (item.kind === 'model' && only === undefined) model(item, cx);
  }
  const importedWorkloads = [...root.names].flatMap(([name, { decl, scope }]): Workload[] => {
    if (scope === root || decl.kind !== 'workload') return [];
    const checked = workload(decl, within(cx, scope));
    return checked ? [{ ...checked, name }] : [];
  });
  const drawn = workloads.filter(hasLengths);
  const typical = drawn.length > 0 ? drawn : eachOnce(importedWorkloads.filter(hasLengths));
  const params = paramValues(root, assignment);
  const plans: Plan[] = [];
  for (const item of root.file.items) {
    if (item.kind !== 'plan' || only?.includes(item.name.text) === false) continue;
    const own: Diagnostic[] = [];
    const plan = checkPlan(
      item,
      { ...cx, report: (d) => void own.push(d) },
      { model, topology, workload, workloads, typical, params },
    );
    found.push(...own);
    if (plan && !own.some((d) => d.severity === 'error')) plans.push(plan);
  }
  return { plans, workloads, importedWorkloads, found };
}

/** A workload may have several names: it is there once, by the first. */
function eachOnce(workloads: readonly DrawnWorkload[]): readonly DrawnWorkload[] {
  return [...groupBy(workloads, ({ requests }) => requests).values()].map(([first]) => first!);
}

function remember<K, V>(memory: Map<K, V>, key: K, make: () => V): V {
  if (!memory.has(key)) memory.set(key, make());
  return memory.get(key)!;
}

/** Values of the params that the file can name. */
function paramValues(root: Scope, assignment: Assignment): Readonly<Record<string, ParamValue>> {
  const values = [...root.names].flatMap(([name, { decl }]) => {
    const value = decl.kind === 'param' ? assignment.get(decl) : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  // Any name may be one, also `__proto__`, to which nothing can be assigned.
  return Object.fromEntries(values);
}

function reportUnknownPlan(root: Scope, plan: string, tell: (d: Diagnostic) => void): void {
  const known = root.file.items.filter((i) => i.kind === 'plan').map((i) => i.name.text);
  if (known.includes(plan)) return;
  const { helps } = suggestions({ file: root.path, span: { start: 0, end: 0 } }, plan, known, 'plans');
  tell(report('unknown-plan', { plan, file: root.path }, { helps }));
}
