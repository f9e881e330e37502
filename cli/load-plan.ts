/** From a file named on the command line to one of its plans, compiled, with everything said on the way. */
import { isAbsolute, resolve } from 'node:path';
import { checkFile, type CheckResult } from '../compiler/check/check-file.js';
import { compileChecked, withSimulated, type CompiledPlan } from '../compiler/check-and-compile.js';
import type { CompileResult } from '../compiler/compile.js';
import { report } from '../compiler/diagnostics/catalogue.js';
import type { Diagnostic } from '../compiler/diagnostics/diagnostic.js';
import { withWeights } from '../compiler/model/stored-types.js';
import type { WeightType } from '../compiler/model/weight-types.js';
import type { Plan } from '../compiler/plan/plan.js';
import { suggest } from '../grammar/did-you-mean.js';
import { diagnosticJson } from './diagnostic-json.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { fileHost } from '../runtime/file-host.js';
import { refuseTaken, type NamedFile } from '../runtime/refuse-taken.js';
import { plural } from './format.js';
import { renderDiagnostic, type RenderOptions } from './render-diagnostics.js';
import { shownPath } from './shown-path.js';
import { err, fail, type Terminal } from './terminal.js';
import { requestFiles } from './workloads.js';

export interface CheckedFile extends CheckResult {
  /** Absolute. */
  readonly path: string;
  readonly render: RenderOptions;
  /** Absolute; descriptions of models that were asked for. */
  readonly modelFiles: readonly string[];
}

/**
 * Checks a plan file. A file that cannot be read is a diagnostic like any other.
 *
 * @param only these of the plans that it declares; all where none is named
 */
export function checkPlanFile(
  path: string,
  set: Readonly<Record<string, string>> | undefined,
  colour: boolean,
  only: readonly string[] = [],
): CheckedFile {
  const absolute = resolve(path);
  const host = fileHost();
  const modelFiles = new Set<string>();
  const readModelConfig: typeof host.readModelConfig = (from, source) => {
    const answer = host.readModelConfig(from, source);
    modelFiles.add(answer.path);
    return answer;
  };
  const check = (plans: readonly string[]): CheckResult =>
    checkFile({ ...host, readModelConfig }, absolute, {
      ...(set && { set }),
      ...(plans.length > 0 && { plans }),
    });
  const found = check(only);
  // With a name that it does not declare, what it has is still to be told.
  const declared =
    found.file?.items.flatMap((item) => (item.kind === 'plan' ? [item.name.text] : [])) ?? only;
  const result = only.every((name) => declared.includes(name)) ? found : check([]);
  return {
    ...result,
    path: absolute,
    render: { textOf: (file) => result.files.get(file), nameOf: shownPath, colour },
    modelFiles: [...modelFiles],
  };
}

/**
 * Every file that a plan file is made of or that its workloads are read from.
 *
 * @param workload what `--workload` names
 */
export function filesRead(checked: CheckedFile, workload?: string): readonly NamedFile[] {
  const { path, files, modelFiles } = checked;
  // The library's have no place on a disk that anything could be written to.
  const imports = [...files.keys()].filter((file) => file !== path && isAbsolute(file));
  return [
    { what: 'the plan', path },
    ...imports.map((file) => ({ what: 'an import of the plan', path: file })),
    ...modelFiles.map((file) => ({ what: 'the model', path: file })),
    ...requestFiles(checked, workload),
  ];
}

/** Prints diagnostics; true when none is an error. */
export function reportDiagnostics(
  terminal: Terminal,
  diagnostics: readonly Diagnostic[],
  render: RenderOptions,
): boolean {
  for (const diagnostic of diagnostics) {
    err(terminal, `${renderDiagnostic(diagnostic, render)}\n`);
    terminal.findings?.diagnostics.push(diagnosticJson(diagnostic, render));
  }
  return !diagnostics.some(isError);
}

export function isError(diagnostic: Diagnostic): boolean {
  return diagnostic.severity === 'error';
}

/** `2 errors, 1 warning`; empty when there is nothing to count. */
export function countDiagnostics(diagnostics: readonly Diagnostic[]): string {
  const errors = diagnostics.filter(isError).length;
  const warnings = diagnostics.filter((diagnostic) => diagnostic.severity === 'warning').length;
  return [
    ...(errors > 0 ? [plural(errors, 'error')] : []),
    ...(warnings > 0 ? [plural(warnings, 'warning')] : []),
  ].join(', ');
}

/** Prints diagnostics. Where one is an error also how many there are; the result is how the command ends then. */
export function refuseErrors(
  terminal: Terminal,
  diagnostics: readonly Diagnostic[],
  render: RenderOptions,
): ExitCode | undefined {
  if (reportDiagnostics(terminal, diagnostics, render)) return undefined;
  err(terminal, countDiagnostics(diagnostics));
  return EXIT.diagnostics;
}

/** Prints what a check found if there is an error in it; warnings are told with those of the compiled plans. */
export function refuseUnsound(terminal: Terminal, checked: CheckedFile): ExitCode | undefined {
  return checked.diagnostics.some(isError)
    ? refuseErrors(terminal, checked.diagnostics, checked.render)
    : undefined;
}

/**
 * Compiles plans of a sound check, and prints what check and compilation found, each thing once.
 *
 * @param simulated says what simulating the compiled plans finds
 */
export function compileOrRefuse(
  terminal: Terminal,
  checked: CheckedFile,
  plans: readonly Plan[],
  simulated?: (compiled: readonly CompiledPlan[]) => readonly Diagnostic[],
): Loaded<{ readonly compiled: readonly CompiledPlan[] }> {
  const result = compileChecked(checked, checked.path, { plans });
  const { compiled } = result;
  const { diagnostics } =
    simulated === undefined ? result : withSimulated(checked, checked.path, result, simulated(compiled));
  const refused = refuseErrors(terminal, diagnostics, checked.render);
  return refused === undefined ? { kind: 'loaded', compiled } : { kind: 'failed', exit: refused };
}

/** Why no plan is chosen: its name is wrong or missing. */
export type Unchosen =
  | { readonly kind: 'unknown'; readonly diagnostic: Diagnostic }
  | { readonly kind: 'usage'; readonly message: string };

export type Chosen = { readonly kind: 'plan'; readonly plan: Plan } | Unchosen;

/** The plan that `--plan` names; without a name, the only one. */
export function choosePlan(plans: readonly Plan[], name: string | undefined, file: string): Chosen {
  const names = plans.map((plan) => plan.name);
  if (name !== undefined) {
    const plan = plans.find((candidate) => candidate.name === name);
    if (plan !== undefined) return { kind: 'plan', plan };
    const near = suggest(name, names);
    const hint = near === undefined ? `it has ${names.join(', ') || 'none'}` : `did you mean ${near}?`;
    return { kind: 'unknown', diagnostic: report('unknown-plan', { plan: name, file }, { helps: [hint] }) };
  }
  if (plans.length === 1) return { kind: 'plan', plan: plans[0]! };
  if (plans.length === 0) return { kind: 'usage', message: `${file} has no plan` };
  return {
    kind: 'usage',
    message: `${file} has several plans: choose one with --plan (${names.join(', ')})`,
  };
}

/** Says why no plan is chosen; the result is how the command ends then. */
export function refuseUnchosen(terminal: Terminal, unchosen: Unchosen, render: RenderOptions): ExitCode {
  if (unchosen.kind === 'unknown') reportDiagnostics(terminal, [unchosen.diagnostic], render);
  else fail(terminal, unchosen.message);
  return EXIT.usage;
}

export interface PlanOptions {
  readonly plan?: string;
  readonly set?: Readonly<Record<string, string>>;
  /** Element type of weights in place of the one that the plan says. */
  readonly weights?: WeightType;
  /** What `--workload` names. */
  readonly workload?: string;
  /** Files that will be written, which must be none of those that are read; FC0940 is thrown where one is. */
  readonly written?: readonly (string | undefined)[];
}

export type Loaded<T> =
  | ({ readonly kind: 'loaded' } & T)
  /** Everything about it has been said on the terminal. */
  | { readonly kind: 'failed'; readonly exit: ExitCode };

export interface LoadedPlan {
  readonly checked: CheckedFile;
  readonly plan: Plan;
  readonly compiled: CompileResult;
}

function chooseOrRefuse(
  { plans, render }: CheckedFile,
  name: string | undefined,
  file: string,
  terminal: Terminal,
): Loaded<{ readonly plan: Plan }> {
  const chosen = choosePlan(plans, name, file);
  if (chosen.kind === 'plan') return { kind: 'loaded', plan: chosen.plan };
  return { kind: 'failed', exit: refuseUnchosen(terminal, chosen, render) };
}

/** Checks a file, or one of its plans, and chooses that, for commands that compile none. */
export function loadUncompiled(
  file: string,
  options: Pick<PlanOptions, 'plan' | 'set'>,
  terminal: Terminal,
): Loaded<Omit<LoadedPlan, 'compiled'>> {
  const checked = checkPlanFile(
    file,
    options.set,
    terminal.colour,
    options.plan === undefined ? [] : [options.plan],
  );
  const refused = refuseErrors(terminal, checked.diagnostics, checked.render);
  if (refused !== undefined) return { kind: 'failed', exit: refused };
  const chosen = chooseOrRefuse(checked, options.plan, file, terminal);
  return chosen.kind === 'failed' ? chosen : { ...chosen, checked };
}

/**
 * Checks a file, chooses a plan and compiles it.
 *
 * @param simulated says what simulating it finds
 */
export function loadPlan(
  file: string,
  options: PlanOptions,
  terminal: Terminal,
  simulated?: (compiled: readonly CompiledPlan[], checked: CheckedFile) => readonly Diagnostic[],
): Loaded<LoadedPlan> {
  const checked = checkPlanFile(
    file,
    options.set,
    terminal.colour,
    options.plan === undefined ? [] : [options.plan],
  );
  refuseTaken(options.written ?? [], filesRead(checked, options.workload));
  const refused = refuseUnsound(terminal, checked);
  if (refused !== undefined) return { kind: 'failed', exit: refused };
  const chosen = chooseOrRefuse(checked, options.plan, file, terminal);
  if (chosen.kind === 'failed') return chosen;
  const { model } = chosen.plan;
  const plan = { ...chosen.plan, model: options.weights ? withWeights(model, options.weights) : model };
  const loaded = compileOrRefuse(
    terminal,
    checked,
    [plan],
    simulated && ((compiled) => simulated(compiled, checked)),
  );
  if (loaded.kind === 'failed') return loaded;
  return { kind: 'loaded', checked, plan, compiled: loaded.compiled[0]!.result };
}
