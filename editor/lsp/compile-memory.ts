/**
 * Compiled plans from one look at a file to the next. A plan that says what it said before is not compiled again: an
 * edit elsewhere has at most moved it, so its places are those of the new text at the same points of the plan.
 */
import { compilePlan, type CompileResult } from '../../compiler/compile.js';
import type { Origin } from '../../compiler/diagnostics/diagnostic.js';
import type { Plan } from '../../compiler/plan/plan.js';

export interface CompileMemory {
  /** The compiled form of a plan, places and all. */
  readonly compile: (plan: Plan) => CompileResult;
  /** What `make` gives for a plan and a question about it; asked once while the plan says the same. */
  readonly recall: <T>(plan: Plan, question: string, make: () => T) => T;
}

interface Known {
  /** The plan that the result is of. */
  plan: Plan;
  result: CompileResult | undefined;
  readonly answers: Map<string, unknown>;
}

/** Plans that are remembered: those that were looked at last. */
const MOST_PLANS = 128;

export function createCompileMemory(compile: (plan: Plan) => CompileResult = compilePlan): CompileMemory {
  const known = new Map<string, Known>();
  const entryOf = (plan: Plan): Known => {
    const key = sayingOf(plan);
    const entry = known.get(key) ?? { plan, result: undefined, answers: new Map<string, unknown>() };
    // Set anew, so that what was looked at last comes last.
    known.delete(key);
    known.set(key, entry);
    if (known.size > MOST_PLANS) known.delete(known.keys().next().value!);
    return entry;
  };
  return {
    compile(plan) {
      const entry = entryOf(plan);
      const moved = entry.result && movedTo(entry.result, entry.plan, plan);
      if (moved !== undefined) return moved;
      const result = compile(plan);
      Object.assign(entry, { plan, result });
      return result;
    },
    recall(plan, question, make) {
      const { answers } = entryOf(plan);
      if (!answers.has(question)) answers.set(question, make());
      return answers.get(question) as ReturnType<typeof make>;
    },
  };
}

/** All that a plan says, without where it says it. */
function sayingOf(plan: Plan): string {
  return JSON.stringify(plan, (_, value: unknown) => (isOrigin(value) ? value.file : value));
}

function isOrigin(value: unknown): value is Origin {
  return typeof value === 'object' && value !== null && 'span' in value && 'file' in value;
}

/** The result with the places of `now` in place of those of `before`; undefined where one of them is not of the plan. */
function movedTo(result: CompileResult, before: Plan, now: Plan): CompileResult | undefined {
  const [old, fresh] = [originsOf(before), originsOf(now)];
  const places = new Map<string, Origin>();
  for (const [index, origin] of old.entries()) {
    const key = keyOf(origin);
    const known = places.get(key);
    const next = fresh[index]!;
    // Two things at one place have to be at one place still.
    if (known !== undefined && keyOf(known) !== keyOf(next)) return undefined;
    places.set(key, next);
  }
  if ([...places].every(([key, origin]) => key === keyOf(origin))) return result;
  let complete = true;
  const copies = new Map<object, unknown>();
  const copy = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const made = copies.get(value);
    if (made !== undefined) return made;
    const fresh = copyOf(value);
    copies.set(value, fresh);
    return fresh;
  };
  const copyOf = (value: object): unknown => {
    if (isOrigin(value)) {
      const place = places.get(keyOf(value));
      if (place === undefined) complete = false;
      return { ...value, ...place };
    }
    if (Array.isArray(value)) return value.map(copy);
    if (value instanceof Map) return new Map([...value].map(([key, each]) => [copy(key), copy(each)]));
    if (value instanceof Set) return new Set([...value].map(copy));
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, copy(each)]));
  };
  const moved = copy(result) as CompileResult;
  return complete ? moved : undefined;
}

const keyOf = ({ file, span }: Origin): string => `${file}:${span.start}:${span.end}`;

/** The places of a plan in the order in which its parts stand. */
function originsOf(value: unknown): readonly Origin[] {
  if (typeof value !== 'object' || value === null) return [];
  if (isOrigin(value)) return [value];
  return Object.values(value).flatMap(originsOf);
}
