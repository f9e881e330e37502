/** `fulcrum devices --calibrate` end to end: what it writes is a topology that `simulate` runs on. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { REACHING_KERNELS } from '../../../compiler/cost/kernel-work.js';
import { measurePace, QUICK_EFFORT } from '../../../runtime/device/calibrate.js';
import { openDevices } from '../../../runtime/device/dawn.js';
import { fileHost } from '../../../runtime/file-host.js';
import { runInProcess } from '../../cli/run-program.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-calibrate-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('times half a layer on all devices at once, and leaves nothing on them', async () => {
  const devices = await openDevices(2);
  const seconds = await measurePace(devices, QUICK_EFFORT);
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThan(Infinity);
  for (const { memory } of devices) {
    expect(memory.peak).toBeGreaterThan(0);
    expect(memory.live).toBe(0);
  }
  for (const device of devices) device.destroy();
});

it('measures devices alone and at once, and writes what simulate can use', async () => {
  const file = join(folder, 'mine.plan');
  const measured = await runInProcess(
    ...['devices', '--calibrate', '--quick', '--devices', '2', '--name', 'mine', '--out', file],
    ...['--like', 'plans/clerk.plan', '--plan', 'reshard'],
  );
  expect(measured).toMatchObject({ status: 0, out: '', err: expect.stringContaining('2 at once') as string });
  expect(readFileSync(file, 'utf8')).toContain('/// Measured by');
  const using = join(folder, 'using.plan');
  writeFileSync(
    using,
    `import { mine_machine } from "./mine.plan"
model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 64, vocab: 64, context: 64, weights: f32 }
workload few { requests: 3, prompt: 20 tokens, output: 5 tokens }
plan p for m on mine_machine {
  stage prefill on gpu { mesh (pp: 2) }
  stage decode on gpu { mesh (tp: 2) }
  flow requests -> prefill -> decode -> results
}
`,
  );
  const { plans } = checkFile(fileHost(), using);
  const { devices, links, overhead, tiers } = plans[0]!.topology;
  expect(devices).toHaveLength(2);
  const { memory, bandwidth, compute, sustained, gemm, kernels, shared, sharedHost } = devices[0]!.kind;
  const parts = [sustained, gemm, kernels, shared, sharedHost];
  const fractions = parts.flatMap((each) => Object.values({ ...each }));
  expect(Object.keys(gemm!)).toEqual(['1', '16', '64']);
  expect(Object.keys(shared!)).toEqual(['2']);
  expect(Object.keys(sharedHost!)).toEqual(['2']);
  expect(Object.keys(kernels!).sort()).toEqual([...REACHING_KERNELS].sort());
  expect(Object.keys(overhead.submit!)).toEqual(['1', '2']);
  expect(Object.keys(overhead.read!)).toEqual(['1', '2']);
  for (const fraction of fractions) expect(fraction).toBeLessThanOrEqual(1);
  const figures = [
    ...fractions,
    ...[
      memory,
      bandwidth,
      compute['f32']!,
      overhead.step,
      overhead.encode!,
      ...Object.values(overhead.submit!),
    ],
    ...[...Object.values(overhead.read!), ...tiers.map(({ capacity }) => capacity)],
    ...links.flatMap((link) => [link.bandwidth, ...Object.values(link.allreduce)]),
  ];
  // Beside the rest these may come out as nothing at all.
  const delays = links.flatMap(({ latency, allreduceLatency }) => [
    latency,
    ...Object.values({ ...allreduceLatency }),
  ]);
  for (const figure of [...figures, ...[overhead.kernel, ...delays].map((time) => 1 + time)]) {
    expect(figure).toBeGreaterThan(0);
    expect(Number.isFinite(figure)).toBe(true);
  }
  const simulated = await runInProcess('simulate', using, '--json');
  expect(simulated.status).toBe(0);
  expect(JSON.parse(simulated.out)).toMatchObject({ plans: [{ requests: { finished: 3, rejected: 0 } }] });
});

it.each([
  [['--like', 'plans/gone.plan'], 1, 'plans/gone.plan'],
  [['--like', 'plans/clerk.plan'], 2, 'plans/clerk.plan has several plans: choose one with --plan'],
  [['--plan', 'reshard'], 2, 'the file that --like names, which is not given'],
])('says what is wrong with %j before it measures anything', async (options, status, message) => {
  const refused = await runInProcess('devices', '--calibrate', ...options);
  expect(refused).toMatchObject({ status, out: '' });
  expect(refused.err).toContain(message);
  expect(refused.err).not.toContain('measuring');
});
