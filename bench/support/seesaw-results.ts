/** What the benchmark of Seesaw finds for one machine, model and workload. */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import {
  ALL_EFFECTS,
  EFFECTS,
  EFFECT_SETS,
  engineWith,
  opposedCorners,
  variations,
  type Effects,
  type Variation,
} from './seesaw-engines.js';
import { createSearcher, createSearchMemory, type Outcome, type Searcher } from './seesaw-search.js';

/** The best plans of an engine on a machine; absent where none fits. */
export interface Comparison {
  readonly fixed?: Outcome;
  /** Re-sharded as the paper's engine changes stage: all steps end, every weight is loaded anew. */
  readonly drained?: Outcome;
  /** Re-sharded as Fulcrum changes stage. */
  readonly dataflow?: Outcome;
}

export interface Results {
  readonly machine: string;
  readonly model: string;
  readonly workload: string;
  readonly requests: number;
  /** Of every choice of meshes, static or re-sharded, with all effects. */
  readonly pairs: readonly Outcome[];
  /** The meshes of the best static plan and of the best re-sharded one, by the tokens of a prefill step. */
  readonly chunks: readonly { readonly label: string; readonly outcomes: readonly Outcome[] }[];
  /** From none to all. */
  readonly effects: readonly { readonly each: Effects; readonly found: Comparison }[];
  /** With all effects, each constant at the ends of what is plausible. */
  readonly constants: readonly Varied[];
  /** The same with several constants at the ends that are worst for one of the best plans and best for the other. */
  readonly corners: readonly Varied[];
}

/** What is found where constants differ. */
export interface Varied {
  readonly name: string;
  readonly found: Comparison;
}

/** Requests per second over those of the best static plan; undefined where one does not fit. */
export function gainOf({ fixed }: Comparison, other: Outcome | undefined): number | undefined {
  return fixed && other && other.rate / fixed.rate;
}

/** Finds something, or takes what was found of it before. */
export type Find = <Found>(key: string, find: () => Found) => Found;

function compare(searcher: Searcher, engine: EngineModel): Comparison {
  const reload: EngineModel = { ...engine, fullReload: true };
  const fixed = searcher.best('fused', { engine, transitions: 'dataflow' });
  const dataflow = searcher.best('re-sharded', { engine, transitions: 'dataflow' });
  const drained = searcher.best('re-sharded', { engine: reload, transitions: 'barrier' });
  return { ...(fixed && { fixed }), ...(drained && { drained }), ...(dataflow && { dataflow }) };
}

/** Ranks of the groups that a plan sums over. */
function groupsOf({ prefill, decode }: Outcome): readonly number[] {
  return [prefill.tp, decode.tp];
}

/** Runs the searches of one combination, or takes what `find` has of them. */
export function seesawResults(
  names: Pick<Results, 'machine' | 'model' | 'workload'>,
  plan: Plan,
  requests: readonly SimulatedRequest[],
  find: Find,
): Results {
  const memory = createSearchMemory();
  const learn = (found: Comparison): Comparison => {
    for (const each of Object.values(found) as readonly Outcome[])
      memory.winners.add(`${each.label} ${each.microbatch}`);
    return found;
  };
  const searcher = createSearcher(plan, requests, memory);
  const effects = EFFECT_SETS.toReversed().map((each) => {
    const name = EFFECTS.filter((effect) => each[effect]).join(' + ') || 'no effects';
    return { each, found: learn(find(name, () => compare(searcher, engineWith(each)))) };
  });
  const engine = engineWith(ALL_EFFECTS);
  const { fixed, dataflow } = effects[0]!.found;
  const opposed = fixed && dataflow ? opposedCorners(plan, groupsOf(fixed), groupsOf(dataflow)) : [];
  const vary = (each: Variation): Varied => {
    const search = (): Comparison => compare(createSearcher(each.plan, requests, memory), engine);
    return { name: each.name, found: learn(find(each.name, search)) };
  };
  const how = { engine, transitions: 'dataflow' } as const;
  const pairs = find('every pair', () => [
    ...searcher.every('fused', how),
    ...searcher.every('re-sharded', how),
  ]);
  const chunks = find('chunks', () =>
    (
      [
        ['fused', fixed],
        ['re-sharded', dataflow],
      ] as const
    ).flatMap(([strategy, best]) =>
      best ? [{ label: best.label, outcomes: searcher.chunks(strategy, best, how) }] : [],
    ),
  );
  return {
    ...names,
    requests: requests.length,
    pairs,
    chunks,
    effects: effects.toReversed(),
    constants: variations(plan).map(vary),
    corners: opposed.map(vary),
  };
}
