/** What a calibration writes is a plan file that means what was measured. */
import { totalmem } from 'node:os';
import { describe, expect, it } from 'vitest';
import { devicesToMeasure } from '../../cli/calibrated-devices.js';
import { calibratedPlan, describeCalibration, doubtsOf, importOf, memoryOf } from '../../cli/calibration.js';
import { readCalibration, setByHand, type EarlierCalibration } from '../../cli/earlier-calibration.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { oneFileHost } from '../../compiler/host.js';
import { allReduceCost, sendCost } from '../../compiler/cost/links.js';
import { deviceRates } from '../../compiler/cost/rates.js';
import { routesOf } from '../../compiler/plan/routes.js';
import { roadsOf } from '../../compiler/reshard/roads.js';
import { formatPlan } from '../../grammar/format.js';
import type { Calibration } from '../../runtime/device/calibrate.js';
import { foreignShare } from '../../runtime/device/processor-time.js';
import type { AdapterReport } from '../../runtime/device/dawn-instance.js';

const ADAPTER: AdapterReport = {
  vendor: 'v',
  architecture: 'a',
  device: 'd',
  description: 'a device (LLVM "15")',
  software: true,
  features: [],
  limits: { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 30 },
  subgroupSizes: [8, 8],
};

const MEASURED: Calibration = {
  devices: 4,
  gemm: [
    { rows: 1, n: 256, k: 256, flops: 1e9 },
    { rows: 1, n: 768, k: 768, flops: 3e9 },
    { rows: 64, n: 256, k: 256, flops: 20e9 },
    { rows: 64, n: 768, k: 768, flops: 40e9 },
  ],
  attention: 8e9,
  memory: 12e9,
  reach: {
    embed: 1,
    rms_norm: 0.5,
    add_rms_norm: 0.6,
    add: 1,
    rope_append: 0.25,
    attention: 1,
    silu_mul: 0.7,
    gelu_mul: 0.7,
    soft_cap: 0.7,
    gather_rows: 0.9,
    decode_attention: 0.4,
    sample: 0.04,
  },
  shared: [
    { devices: 2, kept: 0.6, least: 0.5, most: 0.7 },
    { devices: 4, kept: 0.3, least: 0.2, most: 0.45 },
  ],
  sharedHost: [
    { devices: 2, kept: 0.4 },
    { devices: 4, kept: 0.15 },
  ],
  staging: { upload: 6e9, download: 3e9, copy: 9e9, roundTrip: 120e-6 },
  dispatch: 25e-6,
  pages: { out: { latency: 400e-6, bandwidth: 1.2e9 }, in: { latency: 200e-6, bandwidth: 4e9 } },
  host: { step: 150e-6, request: 4e-6, choose: 8e-6 },
  encode: 9e-6,
  submits: [
    { devices: 1, seconds: 60e-6 },
    { devices: 4, seconds: 400e-6 },
  ],
  reads: [
    { devices: 1, seconds: 80e-6 },
    { devices: 4, seconds: 200e-6 },
  ],
  allReduce: [
    { devices: 2, latency: 0.5e-3, bandwidth: 1e9 },
    { devices: 4, latency: 0.9e-3, bandwidth: 0.5e9 },
  ],
  allGather: [
    { devices: 2, latency: 0.4e-3, bandwidth: 1e9 },
    { devices: 4, latency: 0.8e-3, bandwidth: 0.5e9 },
  ],
  send: { devices: 2, latency: 0.3e-3, bandwidth: 2e9 },
};

function checked(measured: Calibration) {
  const memory = memoryOf(ADAPTER, measured.devices, 16 * 2 ** 30);
  const text = calibratedPlan({ name: 'here', adapter: ADAPTER, measured, ...memory });
  const plan = `${text}
model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 64, vocab: 64, context: 64, weights: f32 }
plan p for m on here_machine { stage serve: prefill + decode on gpu { mesh (tp: ${measured.devices}) }, flow requests -> serve -> results }
`;
  const { plans, diagnostics } = checkFile(oneFileHost('here.plan', plan), 'here.plan');
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  return { text, topology: plans[0]!.topology };
}

describe('a calibrated plan file', () => {
  it('gives the cost model the speeds that were measured', () => {
    const { topology } = checked(MEASURED);
    expect(topology.devices).toHaveLength(4);
    const rates = deviceRates(topology.devices[0]!.kind);
    // The work of one product of each shape, by the time that all of them take.
    expect(rates.gemmFlops('f32', 64)).toBeCloseTo(10 / (1 / 20e9 + 9 / 40e9), -8);
    expect(rates.gemmFlops('f32', 1)).toBeCloseTo(10 / (1 / 1e9 + 9 / 3e9), -7);
    expect(rates.flops('f32')).toBeCloseTo(8e9, -8);
    expect(rates.bandwidth).toBeCloseTo(12e9, -8);
    expect(topology.devices[0]!.kind.memory).toBe(2 * 2 ** 30);
    const routes = routesOf(topology);
    const all = topology.devices.map(({ path }) => path);
    expect(allReduceCost(routes, all)).toEqual({
      latency: expect.closeTo(0.9e-3, 9) as number,
      bandwidth: 0.5e9,
      declared: true,
      gatherLatency: expect.closeTo(0.8e-3, 9) as number,
    });
    expect(topology.devices[0]!.kind.attentionRows).toBe(16);
    expect(topology.devices[0]!.kind.largestBinding).toBe(2 ** 30);
    expect(topology.devices[0]!.kind.shared).toEqual({ 2: 0.6, 4: 0.3 });
    expect(topology.devices[0]!.kind.sharedHost).toEqual({ 2: 0.4, 4: 0.15 });
    expect(allReduceCost(routes, all.slice(0, 2))!.bandwidth).toBe(1e9);
    expect(allReduceCost(routes, all.slice(0, 2))!.latency).toBeCloseTo(0.5e-3, 9);
    expect(sendCost(routes, all[0]!, all[1]!)).toEqual({
      latency: expect.closeTo(0.3e-3, 9) as number,
      bandwidth: 2e9,
    });
    expect(rates.reach('rms_norm')).toBe(0.5);
    expect(rates.reach('decode_attention')).toBe(0.4);
    expect(topology.overhead.submit).toEqual({ 1: expect.closeTo(60e-6, 9), 4: expect.closeTo(400e-6, 9) });
    expect(topology.overhead.read).toEqual({ 1: expect.closeTo(80e-6, 9), 4: expect.closeTo(200e-6, 9) });
    expect(routes.find(all[0]!, 'host')).toMatchObject({
      bandwidth: 1.2e9,
      latency: expect.closeTo(3e-4, 9) as number,
    });
    expect(routes.find('host', all[0]!)!.bandwidth).toBe(4e9);
    expect(roadsOf(topology).between('host', all[0]!)!.weights).toBe(6e9);
    expect(topology.overhead.choose).toBeCloseTo(8e-6, 9);
    expect(topology.overhead.encode).toBeCloseTo(9e-6, 9);
    expect(topology.overhead.kernel).toBeCloseTo(25e-6, 9);
    expect(topology.overhead.step).toBeCloseTo(150e-6, 9);
    expect(topology.overhead.request).toBeCloseTo(4e-6, 9);
  });

  it('says of what is doubtful that it is, and is a calibration all the same', () => {
    const flat = { latency: 1e-4, bandwidth: 1e9, isFlat: true } as const;
    const measured: Calibration = { ...MEASURED, pages: { ...MEASURED.pages, in: flat } };
    const doubt = 'times hardly grew with bytes, and the bandwidth is that of the most bytes: KV pages in';
    expect(doubtsOf(measured, 0.02)).toEqual([doubt]);
    const { text } = checked(measured);
    expect(text).toContain('// Times hardly grew with bytes');
    expect(readCalibration(text).kind).toBe('calibration');
    expect(checked(MEASURED).text).not.toContain('hardly grew');
    expect(doubtsOf(MEASURED, 0.02)).toEqual([]);
    const busy = doubtsOf(MEASURED, foreignShare({ all: 5, work: 2, own: 1 }, { all: 9, work: 5, own: 2 }));
    expect(busy).toEqual([expect.stringContaining('other work had 50% of the processors')]);
  });

  it('has no share that rises with the devices, which is noise', () => {
    const rising = [
      { devices: 2, kept: 0.4, least: 0.4, most: 0.4 },
      { devices: 4, kept: 0.5, least: 0.5, most: 0.5 },
    ];
    const { topology } = checked({ ...MEASURED, shared: rising, sharedHost: rising });
    const { shared, sharedHost } = topology.devices[0]!.kind;
    expect([shared, sharedHost]).toEqual([
      { 2: 0.4, 4: 0.4 },
      { 2: 0.4, 4: 0.4 },
    ]);
  });

  it('has no link between devices where there is one', () => {
    const { send: _send, ...rest } = MEASURED;
    const { topology } = checked({
      ...rest,
      devices: 1,
      allReduce: [],
      allGather: [],
      shared: [],
      sharedHost: [],
    });
    expect(topology.links).toHaveLength(1);
    expect(topology.devices[0]!.kind.shared).toBeUndefined();
  });

  it('is formatted, and described with every figure', () => {
    const { text: own } = checked(MEASURED);
    expect(formatPlan(own, 'here.plan')).toEqual({ kind: 'formatted', text: own });
    const described = describeCalibration(MEASURED);
    for (const figure of [
      '40.0',
      'each 30% as fast, layers from 20% to 45%',
      'rope_append',
      'reaches 25%',
      'submit to 4',
      '400 us',
      '8.00 GFLOP/s',
      '25.0 us',
      'all-reduce of 4',
      '900 us + bytes / 0.500 GB/s',
    ])
      expect(described).toContain(figure);
  });

  it.each(['device', 'plan', 'for', 'in', 'not'])('may be of a device called `%s`', (name) => {
    const memory = memoryOf(ADAPTER, MEASURED.devices, 16 * 2 ** 30);
    const text = calibratedPlan({ name, adapter: ADAPTER, measured: MEASURED, ...memory });
    expect(checkFile(oneFileHost('own.plan', text), 'own.plan').diagnostics).toEqual([]);
  });

  it('is known again, so that a later one may take its place', () => {
    const { text } = checked(MEASURED);
    expect(readCalibration(text)).toEqual({
      kind: 'calibration',
      name: 'here',
      devices: 4,
      memory: '2048 MiB',
      hostMemory: '4096 MiB',
    });
    for (const other of ['device here { memory: 1 GiB }', '', 'device {'])
      expect(readCalibration(other)).toEqual({ kind: 'other', why: 'and is no calibration' });
  });

  it.each<[string, (text: string) => string, string]>([
    [
      'a workload',
      (text) => `${text}workload w { requests: 6, prompt: 20 tokens, output: 8 tokens }\n`,
      'and is no calibration',
    ],
    [
      'a second machine',
      (text) => `${text}device lab { memory: 1 GiB }\ntopology lab_machine { gpu: lab }\n`,
      'and has more than one device and its topology',
    ],
    [
      'a topology of another name',
      (text) => text.replace('here_machine', 'office'),
      'and its topology is not called `here_machine`',
    ],
    [
      'a note',
      (text) => text.replace('topology', '// my note\ntopology'),
      'and has a note of its own, `// my note`',
    ],
    [
      'a word behind a note',
      (text) => text.replace('link gpu <-> gpu', '/* slow */ link gpu <-> gpu'),
      'and has a note of its own, `/* slow */`',
    ],
    [
      'a tier',
      (text) => text.replace('  tier host', '  tier disk { capacity: 1 TiB }\n  tier host'),
      'and has what no calibration writes, `tier disk { capacity: 1 TiB }`',
    ],
    [
      'a field of the device',
      (text) => text.replace('  memory:', '  price: 3\n  memory:'),
      'and has what no calibration writes, `price: 3`',
    ],
  ])('with %s keeps that, as nothing takes its place', (_what, change, why) => {
    const { text } = checked(MEASURED);
    expect(change(text)).not.toBe(text);
    expect(readCalibration(change(text))).toEqual({ kind: 'other', why });
  });

  it('hands on what a hand has set: the memory that nothing measures', () => {
    const text = calibratedPlan({
      name: 'here',
      adapter: ADAPTER,
      measured: MEASURED,
      ...memoryOf(ADAPTER, MEASURED.devices, totalmem()),
    });
    const kept = (changed: string) => setByHand(readCalibration(changed) as EarlierCalibration, ADAPTER);
    expect(kept(text)).toEqual({});
    const byHand = text
      .replace(/memory: \d+ MiB/, 'memory: 24 GiB')
      .replace(/capacity: \d+ MiB/, 'capacity: 100 GiB');
    expect(kept(byHand)).toEqual({ memory: '24 GiB', hostMemory: '100 GiB' });
    const again = calibratedPlan({
      name: 'here',
      adapter: ADAPTER,
      measured: MEASURED,
      ...memoryOf(ADAPTER, 2, totalmem()),
      ...kept(byHand),
    });
    expect(again).toContain('  memory: 24 GiB\n');
    expect(again).toContain('tier host { capacity: 100 GiB }');
  });

  it('is of as many devices as are asked for, a plan has or it was of before', () => {
    const plan = (devices: number) => ({ name: 'p', devices });
    expect(devicesToMeasure({})).toEqual({ count: 1 });
    expect(devicesToMeasure({ earlier: 4 })).toEqual({ count: 4 });
    expect(devicesToMeasure({ plan: plan(8), earlier: 4 })).toEqual({ count: 8 });
    expect(devicesToMeasure({ named: 8, plan: plan(4), earlier: 2 })).toEqual({ count: 8 });
    const few = (devices: number, count: number) =>
      `plan p has ${devices} devices: a topology of ${count} has no room for all its stages`;
    expect(devicesToMeasure({ named: 2, plan: plan(4) })).toEqual({ count: 2, note: few(4, 2) });
    expect(devicesToMeasure({ plan: plan(100) })).toEqual({ count: 64, note: few(100, 64) });
  });

  it('is imported by a path, wherever it was written', () => {
    expect(importOf('here', 'out/here.plan')).toBe('import { here_machine } from "./out/here.plan"');
    expect(importOf('here', '/out/here.plan')).toBe('import { here_machine } from "/out/here.plan"');
  });
});
