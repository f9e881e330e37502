/** What the slices of a step cover, on devices that keep virtual time. */
import { expect, it } from 'vitest';
import { submitRequests } from '../../../bench/support/requests.js';
import { compilePlan } from '../../../compiler/compile.js';
import { openEngine } from '../../../runtime/engine/open.js';
import type { Device } from '../../../runtime/device/device.js';
import type { Slice, Tracer } from '../../../runtime/trace/tracer.js';
import { makePlan, type StageOptions } from '../../compiler/support/make-plan.js';
import { virtualDevices } from '../support/virtual-devices.js';

const SHAPE = { layers: 2, hidden: 32, heads: 8, kvHeads: 4, headDim: 8, ffn: 48, vocab: 64, context: 256 };

/** Of every time that a step recorded kernels, the innermost slice of the device's queue that was open. */
async function recordedIn(mesh: StageOptions['mesh'], apart: boolean): Promise<ReadonlySet<string>> {
  const { runtime } = compilePlan(
    makePlan({ shape: SHAPE, stages: [{ name: 'serve', mesh, microbatchTokens: 48 }] }),
  );
  const virtual = virtualDevices({ kernel: 1e-3, pages: 1e7 });
  const open = new Map<string, string[]>();
  const stackOf = (process: string): string[] => {
    const stack = open.get(process) ?? [];
    open.set(process, stack);
    return stack;
  };
  const names = new Set<string>();
  const sliceOn = (stack: string[], name: string): Slice => {
    stack.push(name);
    return {
      child: (part) => sliceOn(stack, part),
      flow: () => undefined,
      end: () => void stack.pop(),
    };
  };
  const tracer: Tracer = {
    apart,
    begin: ({ process, thread }, name) => sliceOn(thread === 'queue' ? stackOf(process) : [], name),
    counter: () => undefined,
  };
  const watched = (device: Device): Device => ({
    ...device,
    record: (build) =>
      device.record((commands) =>
        build({
          ...commands,
          dispatch(...all) {
            const stack = stackOf(device.label);
            if (stack.length > 0) names.add(stack.at(-1)!);
            commands.dispatch(...all);
          },
        }),
      ),
  });
  const engine = await virtual.during(
    openEngine(runtime, {
      tracer,
      open: async (count, labels) => (await virtual.open(count, labels)).map(watched),
    }),
  );
  submitRequests(engine, SHAPE.vocab, [
    { promptTokens: 20, newTokens: 4 },
    { promptTokens: 30, newTokens: 4 },
  ]);
  await virtual.during(engine.run());
  await virtual.during(engine.dispose());
  return names;
}

it.each<[string, StageOptions['mesh'], readonly string[]]>([
  ['one device', {}, ['read samples']],
  ['tp ranks', { tp: 2 }, ['all_reduce tp', 'read samples']],
  ['a pipeline', { pp: 2 }, ['read samples', 'send']],
])('%s: an exchange begins as the kernels before it are recorded, or they do', async (_, mesh, exchanges) => {
  expect([...(await recordedIn(mesh, false))].sort()).toEqual(exchanges);
  expect([...(await recordedIn(mesh, true))]).toEqual(['kernels']);
});
