import type { Diagnostic, Origin } from '../../diagnostics/diagnostic.js';
import type { Plan } from '../../plan/plan.js';
import type { Workload } from '../../plan/workload.js';
import type { StageSources } from '../plan/stages.js';

/** What a rule looks at: the whole plan as a value, and where its facts were written. */
export interface RuleInput {
  readonly plan: Plan;
  readonly sources: ReadonlyMap<string, StageSources>;
  /** Where a dimension of the model comes from. */
  readonly provenance: (property: string) => { readonly note: string; readonly origin?: Origin };
  readonly workloads: readonly Workload[];
}

/** A property that every sound plan has; what breaks it, each with its fixes. */
export type Rule = (input: RuleInput) => readonly Diagnostic[];
