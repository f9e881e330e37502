/** How busy the processors are beside this process: what is measured meanwhile is of both. */
import { cpus } from 'node:os';

/** Seconds since the machine began. */
export interface ProcessorSeconds {
  /** Of all processors, idle or not; of all work; of this process. */
  readonly all: number;
  readonly work: number;
  readonly own: number;
}

export function processorSeconds(): ProcessorSeconds {
  const { user, system } = process.cpuUsage();
  let [all, idle] = [0, 0];
  for (const { times } of cpus()) {
    idle += times.idle;
    all += times.idle + times.user + times.nice + times.sys + times.irq;
  }
  return { all: all / 1e3, work: (all - idle) / 1e3, own: (user + system) / 1e6 };
}

/** What part of the processors other work has had in between; 0 where the system does not tell. */
export function foreignShare(since: ProcessorSeconds, now: ProcessorSeconds): number {
  const foreign = now.work - since.work - (now.own - since.own);
  const all = now.all - since.all;
  return all > 0 ? Math.max(0, foreign) / all : 0;
}
