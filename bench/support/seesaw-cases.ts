/** The machines, models and workloads of plans/seesaw, for benchmarks of searches over them. */
import { checkFile } from '../../compiler/check/check-file.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { Workload } from '../../compiler/plan/workload.js';
import { fileHost } from '../../runtime/file-host.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import { requestsOf } from '../../cli/workloads.js';

const MACHINES = ['l4', 'a10', 'a100'];

export interface SeesawCase {
  /** Machine, model and workload. */
  readonly names: readonly string[];
  readonly plan: Plan;
  /** The first of the workload. */
  readonly requests: readonly SimulatedRequest[];
}

/** @param args on the command line: how many requests, 100 unless there is a number, and names that are wanted beside it */
export function seesawCases(args: readonly string[]): {
  readonly cases: readonly SeesawCase[];
  /** Whether one of these names is among those that are wanted, for every one that is. */
  readonly isWanted: (names: readonly string[]) => boolean;
} {
  const most = args.map(Number).find((each) => each >= 1) ?? 100;
  const wanted = args.filter((each) => Number.isNaN(Number(each)));
  const isWanted = (names: readonly string[]): boolean => wanted.every((each) => names.includes(each));
  const cases = MACHINES.flatMap((machine) => {
    const { plans, importedWorkloads } = checkFile(fileHost(), `plans/seesaw/${machine}.plan`);
    return plans.flatMap((plan) =>
      importedWorkloads.map((workload): SeesawCase => {
        const names = [machine, plan.name, workload.name];
        return { names, plan, requests: seesawRequests(workload, plan).slice(0, most) };
      }),
    );
  });
  return { cases, isWanted };
}

/** The requests of a workload, with what the context of the model has room for. Throws where they cannot be read. */
export function seesawRequests(workload: Workload, { model }: Plan): readonly SimulatedRequest[] {
  const chosen = requestsOf(workload, model.shape.context);
  if (chosen.kind !== 'requests') throw new Error(chosen.message);
  return chosen.requests;
}
