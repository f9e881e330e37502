/** The inside of a thread of the analyst: see `analyst-thread.ts`. */
import { setImmediate } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { checkedRung, upperRungs, type Analysis } from './analysis.js';
import type { AnalystAnswer, AnalystOrder, AnalystTask } from './analyst-thread.js';
import { createCompileMemory } from './compile-memory.js';
import { hostOver } from './open-host.js';

const port = parentPort!;
/** Plans that were compiled before, of all files. */
const memory = createCompileMemory();
let isGivenUp = false;

port.on('message', (order: AnalystOrder) => {
  if (order === 'give up') isGivenUp = true;
  else void carryOut(order);
});

async function carryOut(task: AnalystTask): Promise<void> {
  const answer = (each: AnalystAnswer): void => port.postMessage(each);
  isGivenUp = false;
  try {
    for (const analysis of stepsOf(task)) {
      if (analysis !== undefined) answer({ analysis, done: false });
      // Lets orders in.
      await setImmediate();
      if (isGivenUp) break;
    }
    answer({ done: true });
  } catch (error) {
    answer({ done: true, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

function stepsOf({ rungs, path, openTexts }: AnalystTask): Iterable<Analysis | undefined> {
  const host = hostOver(openTexts);
  return rungs === 'checked' ? [checkedRung(host, path)] : upperRungs(host, path, memory);
}
