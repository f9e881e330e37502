/** Everything that can be said about a plan file without running it: its plans are checked, and the sound ones compiled. */
import { reportUnused, sift } from './check/allowances.js';
import { checkFile, type CheckOptions, type CheckResult } from './check/check-file.js';
import { compilePlan, type CompileResult } from './compile.js';
import type { Diagnostic } from './diagnostics/diagnostic.js';
import type { CompilerHost } from './host.js';
import type { Plan } from './plan/plan.js';

export interface CompiledPlan {
  readonly plan: Plan;
  readonly result: CompileResult;
}

/** `diagnostics` are those of the check and of all its plans, and of allowances that allow nothing. */
export interface CheckedAndCompiled extends CheckResult {
  readonly compiled: readonly CompiledPlan[];
}

/** Checks the file at `path` and compiles its plans. Throws only when a verifier finds a bug of the compiler. */
export function checkAndCompile(
  host: CompilerHost,
  path: string,
  options: CheckOptions = {},
): CheckedAndCompiled {
  return compileChecked(checkFile(host, path, options), path);
}

/** Compiles one plan of a check, without the warnings that its files allow. */
export function compileAllowing(plan: Plan, { allowances }: Pick<CheckResult, 'allowances'>): CompileResult {
  const result = compilePlan(plan);
  return { ...result, diagnostics: sift(result.diagnostics, allowances).kept };
}

/** Compiles the plans of a check of the file at `path`. */
export function compileChecked(checked: CheckResult, path: string): CheckedAndCompiled {
  const compiled = checked.plans.map((plan) => ({ plan, result: compilePlan(plan) }));
  const { allowances } = checked;
  const exact = compiled.flatMap(({ result }) => result.diagnostics);
  const sifted = sift(exact, allowances);
  // The check estimates what only the compiled plan has exactly; the better figure is the one to tell.
  const isEstimate = (diagnostic: Diagnostic): boolean => exact.some((other) => saySame(diagnostic, other));
  const allowed = [...checked.allowed.filter(({ diagnostic }) => !isEstimate(diagnostic)), ...sifted.allowed];
  // What a plan with errors would have caused is not known.
  const complete = !checked.diagnostics.some(({ severity }) => severity === 'error');
  const unused = complete ? reportUnused(path, allowances, allowed) : [];
  const diagnostics = [
    ...checked.diagnostics.filter((diagnostic) => !isEstimate(diagnostic)),
    ...sifted.kept,
    ...unused,
  ];
  return { ...checked, compiled, allowed, diagnostics };
}

function saySame(a: Diagnostic, b: Diagnostic): boolean {
  return (
    a.code === b.code &&
    a.primary?.file === b.primary?.file &&
    a.primary?.span.start === b.primary?.span.start &&
    a.primary?.span.end === b.primary?.span.end
  );
}
