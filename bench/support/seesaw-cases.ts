/** The machines, models and workloads of plans/seesaw, for benchmarks of searches over them. */
import { checkFile } from '../../compiler/check/check-file.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { Workload } from '../../compiler/plan/workload.js';
import { fileHost } from '../../runtime/file-host.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import { requestsOf } from '../../cli/workloads.js';

const MACHINES = ['a10', 'l4', 'a100'];

interface Combination {
  /** Machine, model and workload. */
  readonly names: readonly [string, string, string];
  readonly plan: Plan;
  readonly workload: Workload;
}

export function seesawCombinations(): readonly Combination[] {
  return MACHINES.flatMap((machine) => {
    const { plans, importedWorkloads } = checkFile(fileHost(), `plans/seesaw/${machine}.plan`);
    return plans.flatMap((plan) =>
      importedWorkloads.map((workload): Combination => ({
        names: [machine, plan.name, workload.name],
        plan,
        workload,
      })),
    );
  });
}

export interface SeesawCase extends Pick<Combination, 'names' | 'plan'> {
  readonly requests: readonly SimulatedRequest[];
}

/** @param most requests that are taken, the first of the workload */
export function seesawCases(most: number): readonly SeesawCase[] {
  return seesawCombinations().map(({ names, plan, workload }) => ({
    names,
    plan,
    requests: seesawRequests(workload, plan).slice(0, most),
  }));
}

/** The requests of a workload, with what the context of the model has room for. Throws where they cannot be read. */
export function seesawRequests(workload: Workload, { model }: Plan): readonly SimulatedRequest[] {
  const chosen = requestsOf(workload, model.shape.context);
  if (chosen.kind !== 'requests') throw new Error(chosen.message);
  return chosen.requests;
}
