/** Everything that can be said about a plan file without running it: its plans are checked, and the sound ones compiled. */
import { reportUnused, sift } from './check/allowances.js';
import { checkFile, type CheckOptions, type CheckResult } from './check/check-file.js';
import { mergeRounds, type Round } from './check/param-rounds.js';
import { compilePlan, type CompileResult } from './compile.js';
import { report, type Slug } from './diagnostics/catalogue.js';
import type { Diagnostic } from './diagnostics/diagnostic.js';
import { inOrder } from './diagnostics/in-order.js';
import type { CompilerHost } from './host.js';
import type { Plan } from './plan/plan.js';

export interface CompiledPlan {
  readonly plan: Plan;
  readonly result: CompileResult;
}

/** `diagnostics` are those of the check and of all its plans, and of allowances that allow nothing. */
export interface CheckedAndCompiled extends CheckResult {
  readonly compiled: readonly CompiledPlan[];
  /** What compilation found, before allowances. */
  readonly found: readonly Diagnostic[];
}

/** Checks the file at `path` and compiles its plans, with every value of their params. Throws only when a verifier finds a bug of the compiler. */
export function checkAndCompile(
  host: CompilerHost,
  path: string,
  options: CheckOptions = {},
): CheckedAndCompiled {
  return compileChecked(checkFile(host, path, options), path, { everyValue: true });
}

export interface CompileCheckedOptions {
  /** The plans to compile; default: all of the check. */
  readonly plans?: readonly Plan[];
  /** Compiles them with every other value of their params too, for diagnostics; default: the chosen values alone. */
  readonly everyValue?: boolean;
  /** Compiles a plan; given by those who remember some. */
  readonly compile?: (plan: Plan) => CompileResult;
}

/** Compiles plans of a check of the file at `path`. What check and compilation say alike is said once. */
export function compileChecked(
  checked: CheckResult,
  path: string,
  options: CompileCheckedOptions = {},
): CheckedAndCompiled {
  const steps = compileInSteps(checked, path, options);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The same, with a pause behind every plan: a caller that has something newer to look at stops there. */
export function* compileInSteps(
  checked: CheckResult,
  path: string,
  { plans = checked.plans, everyValue = false, compile = compilePlan }: CompileCheckedOptions = {},
): Generator<undefined, CheckedAndCompiled> {
  const compiled: CompiledPlan[] = [];
  for (const plan of plans) {
    compiled.push({ plan, result: compile(plan) });
    yield;
  }
  const found = everyValue
    ? yield* withOtherValues(checked, compiled, compile)
    : compiled.flatMap(({ result }) => result.diagnostics);
  return conclude(checked, path, { compiled, found }, undefined);
}

/** The same with what simulating the plans, or a run of one, was seen to break. */
export function withSimulated(
  checked: CheckResult,
  path: string,
  compiled: Pick<CheckedAndCompiled, 'compiled' | 'found'>,
  simulated: readonly Diagnostic[],
): CheckedAndCompiled {
  return conclude(checked, path, compiled, simulated);
}

/** A warning that only a simulation can find. */
const OF_SIMULATIONS: Slug = 'time-not-met';

function conclude(
  checked: CheckResult,
  path: string,
  { compiled, found }: Pick<CheckedAndCompiled, 'compiled' | 'found'>,
  simulated: readonly Diagnostic[] | undefined,
): CheckedAndCompiled {
  const { allowances } = checked;
  const exact = [...found, ...(simulated ?? [])];
  const sifted = sift(exact, allowances);
  // The check estimates what only the compiled plan has exactly; the better figure is the one to tell.
  const isEstimate = (diagnostic: Diagnostic): boolean => exact.some((other) => saySame(diagnostic, other));
  const allowed = [...checked.allowed.filter(({ diagnostic }) => !isEstimate(diagnostic)), ...sifted.allowed];
  // What a plan with errors, or one that was not looked at, would have caused is not known.
  const complete =
    checked.whole &&
    compiled.length === checked.plans.length &&
    !checked.diagnostics.some(({ severity }) => severity === 'error');
  const judged =
    simulated === undefined ? allowances.filter(({ slug }) => slug !== OF_SIMULATIONS) : allowances;
  const unused = complete ? reportUnused(path, judged, allowed) : [];
  const diagnostics = [
    ...checked.diagnostics.filter(
      (diagnostic) => !isEstimate(diagnostic) && !exact.some((other) => roomIsWanting(diagnostic, other)),
    ),
    ...sifted.kept,
    ...unused,
  ];
  return { ...checked, compiled, found, allowed, diagnostics: inOrder(diagnostics, path) };
}

/** Plans of other values that are compiled for their diagnostics at most, of all plans of the file together. */
const MOST_OTHER_PLANS = 64;

/** Diagnostics of the compiled plans, and of what other values of params make of them. */
function* withOtherValues(
  { rounds, combinations, domains }: Pick<CheckResult, 'rounds' | 'combinations' | 'domains'>,
  compiled: readonly CompiledPlan[],
  compile: (plan: Plan) => CompileResult,
): Generator<undefined, readonly Diagnostic[]> {
  // Most params concern few plans: a plan that is as it was in another round is not compiled again.
  const known = new Map(compiled.map(({ plan, result }) => [identityOf(plan), result.diagnostics]));
  const most = known.size + MOST_OTHER_PLANS;
  const asked = new Set(compiled.map(({ plan }) => plan.name));
  const done: Round[] = [];
  for (const { assignment, plans } of rounds) {
    const wanted = plans
      .filter(({ name }) => asked.has(name))
      .map((plan) => ({ plan, key: identityOf(plan) }));
    if (known.size + wanted.filter(({ key }) => !known.has(key)).length > most) break;
    for (const { plan, key } of wanted) {
      if (known.has(key)) continue;
      known.set(key, compile(plan).diagnostics);
      yield;
    }
    done.push({ assignment, found: wanted.flatMap(({ key }) => known.get(key)!) });
  }
  const merged = mergeRounds(done, domains);
  return done.length < rounds.length ? [...merged, cutOff(combinations, done.length, domains)] : merged;
}

/** Everything of a plan that its compiled form depends on. */
function identityOf({ params: _, ...rest }: Plan): string {
  return JSON.stringify(rest);
}

function cutOff(combinations: number, done: number, domains: CheckResult['domains']): Diagnostic {
  const values = [...domains.values()].find(({ length }) => length > 1)!;
  return report(
    'too-many-values',
    { combinations, done, what: 'compiled' },
    {
      primary: values[0]!.origin,
      notes: [`combinations are compiled until they have made ${MOST_OTHER_PLANS} other plans of the file's`],
      helps: ['`--set` fixes a param to one value: the others are compiled with that'],
    },
  );
}

function saySame(a: Diagnostic, b: Diagnostic): boolean {
  return a.code === b.code && areTogether(a, b);
}

/** Errors that leave a plan as it is: it can be simulated all the same. */
const OF_EXPECTATIONS: Slug = 'expectation-not-met';

/** Whether a compiled plan could run, and be simulated, whether or not it is as it is expected to be. */
export function canRun({ runtime, diagnostics }: CompileResult): boolean {
  return (
    runtime.stages.length > 0 &&
    diagnostics.every(({ severity, slug }) => severity !== 'error' || slug === OF_EXPECTATIONS)
  );
}

const LITTLE_ROOM: Slug = 'kv-tight';
const NO_ROOM: ReadonlySet<string> = new Set<Slug>(['weights-do-not-fit', 'kv-does-not-fit']);

/** An estimate that there is a little room, where there is exactly none. */
function roomIsWanting(estimate: Diagnostic, exact: Diagnostic): boolean {
  return (
    estimate.slug === LITTLE_ROOM &&
    NO_ROOM.has(exact.slug) &&
    exact.severity === 'error' &&
    areTogether(estimate, exact)
  );
}

function areTogether(a: Diagnostic, b: Diagnostic): boolean {
  return (
    a.primary?.file === b.primary?.file &&
    a.primary?.span.start === b.primary?.span.start &&
    a.primary?.span.end === b.primary?.span.end
  );
}
