/**
 * How far simulations on a calibrated machine are from runs on it: calibrates four devices, runs plans of the throughput
 * benchmark, simulates each, and prints seconds of both by category with the error. Every plan runs twice: as it runs for
 * people, and with kernels let end before each exchange, so that the two can be told apart, which takes a run longer. What
 * else the machine does meanwhile shows in both, but hardly to the same part: how much of the processors that had is
 * printed. A machine that nothing else uses may still change its speed: some kernels are timed before and after the
 * calibration and every run, and the error is printed as well as it would be had the run gone at the speed of the
 * calibration.
 *
 *   npm run bench:calibration -- [clerk | 110m] [request sets]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { againstReport, describeAgainst, readRun } from '../cli/against.js';
import { calibratedPlan, describeCalibration, memoryOf } from '../cli/calibration.js';
import { formatSignedPercent } from '../cli/format.js';
import { checkFile } from '../compiler/check/check-file.js';
import { oneFileHost } from '../compiler/host.js';
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import type { Plan, Topology } from '../compiler/plan/plan.js';
import { simulate } from '../runtime/clock/simulate.js';
import { createTimeline, flatSlices } from '../runtime/clock/timeline.js';
import { calibrate, FULL_EFFORT, measurePace } from '../runtime/device/calibrate.js';
import { foreignShare, processorSeconds, type ProcessorSeconds } from '../runtime/device/processor-time.js';
import { shapesOf } from '../runtime/device/calibration-shapes.js';
import { listAdapters } from '../runtime/device/dawn-instance.js';
import { openDevices } from '../runtime/device/dawn.js';
import type { Device } from '../runtime/device/device.js';
import { openEngine } from '../runtime/engine/open.js';
import { openTraceFile } from '../runtime/trace/trace-file.js';
import { asked, countAsked, inPlaces, pickNamed } from './support/arguments.js';
import { submitRequests, type RequestSize } from './support/requests.js';
import { CASES, compile, PLANS, type Stages } from './support/throughput-plans.js';

const DEVICES = 4;

/**
 * Plans that exchange nothing. On one device nothing else computes: what is off there is off in kernels. On four what
 * devices leave each other comes to it.
 */
const WITHOUT_EXCHANGES: Readonly<Record<string, Stages>> = {
  'one device': [
    { name: 'prefill', mesh: {} },
    { name: 'decode', mesh: {} },
  ],
  'static dp': [
    { name: 'prefill', mesh: { dp: 4 } },
    { name: 'decode', mesh: { dp: 4 } },
  ],
};

/** The topology that a calibration of this machine writes. */
async function calibratedTopology(devices: readonly Device[], plan: Plan): Promise<Topology> {
  const [adapter] = await listAdapters();
  if (adapter === undefined) throw new Error('no adapter');
  const before = processorSeconds();
  const effort = { ...FULL_EFFORT, ...shapesOf(plan) };
  const measured = await calibrate(devices, () => undefined, effort);
  console.log(`${foreignWork(before)} while this was measured`);
  const memory = memoryOf(adapter, DEVICES, totalmem());
  const text = calibratedPlan({ name: 'here', adapter, measured, ...memory });
  console.log(`${describeCalibration(measured)}\n\n${text}`);
  const file = `${text}
model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 64, vocab: 64, context: 64, weights: f32 }
plan p for m on here_machine { stage serve: prefill + decode on gpu { mesh (tp: 4) }, flow requests -> serve -> results }`;
  const { plans, diagnostics } = checkFile(oneFileHost('here.plan', file), 'here.plan');
  const [using] = plans;
  if (using === undefined) throw new Error(diagnostics[0]?.message);
  return using.topology;
}

/** What part of the processors other work has had since then. */
function foreignWork(since: ProcessorSeconds): string {
  return `other work had ${Math.round(100 * foreignShare(since, processorSeconds()))}% of the processors`;
}

/** Devices of their own, closed before others are opened, as one command after another would. */
async function onDevices<T>(work: (devices: readonly Device[]) => Promise<T>): Promise<T> {
  const devices = await openDevices(DEVICES);
  try {
    return await work(devices);
  } finally {
    for (const device of devices) device.destroy();
  }
}

/** Runs, and tells the mean of what some kernels take before and after. */
async function paced<T>(run: () => Promise<T>): Promise<{ result: T; pace: number }> {
  const before = await onDevices(measurePace);
  const result = await run();
  const after = await onDevices(measurePace);
  return { result, pace: (before + after) / 2 };
}

interface Tried {
  readonly title: string;
  readonly plan: Plan;
  readonly runtime: RuntimeGraph;
  readonly size: RequestSize;
}

/** Runs a plan and compares its simulation. */
async function compare(
  { title, plan, runtime, size }: Tried,
  apart: boolean,
  calibrated: number,
): Promise<void> {
  const path = join(folder, 'trace.json');
  const tracer = openTraceFile(path, {
    describe: ({ file }) => file,
    about: { plan: title },
    onBroken: (reason) => {
      throw new Error(reason);
    },
    apart,
  });
  const { result, pace: meanwhile } = await paced(async () => {
    const engine = await openEngine(runtime, { tracer });
    const { requests, shape } = chosen!;
    submitRequests(
      engine,
      shape.vocab,
      Array.from({ length: requests }, () => size),
    );
    const before = processorSeconds();
    await engine.run();
    const beside = foreignWork(before);
    const { peakMemory } = engine.stats();
    await engine.dispose();
    return { beside, peakMemory };
  });
  const { beside, peakMemory } = result;
  tracer.close({ peakMemory, resumed: 0 });
  const run = readRun(path);
  if (typeof run === 'string') throw new Error(run);
  const timeline = createTimeline();
  simulate(runtime, plan, run.requests, { timeline });
  const about = `${title}, ${size.promptTokens}:${size.newTokens}${apart ? ', kernels apart' : ''} (${beside})`;
  const report = againstReport(run, { name: about, model: plan.model }, flatSlices(timeline), {
    transitions: 'dataflow',
  });
  console.log(`\n${describeAgainst({ ...report, trace: 'its run' })}`);
  const whole = report.categories.find(({ category }) => category === 'whole run')?.error;
  if (whole === undefined) return;
  const speed = calibrated / meanwhile;
  const off = formatSignedPercent((1 + whole) / speed - 1, 0);
  console.log(
    `  the machine went at ${Math.round(100 * speed)}% of its speed in the calibration; at that speed the whole run would be off by ${off}`,
  );
}

const [name = 'clerk', sets] = asked('calibration', inPlaces(process.argv.slice(2), 2));
const [shape] = asked('calibration', pickNamed('shape', Object.keys(CASES), [name]));
const chosen = CASES[shape!]!;
const mostSets = sets === undefined ? undefined : asked('calibration', countAsked('request sets', sets));
const { plan: like } = compile(chosen, PLANS['re-shard']!);
const { result: topology, pace: calibrated } = await paced(() =>
  onDevices((devices) => calibratedTopology(devices, like)),
);
const folder = mkdtempSync(join(tmpdir(), 'fulcrum-calibration-'));
try {
  for (const size of chosen.sets.slice(0, mostSets))
    for (const [title, stages] of Object.entries({ ...WITHOUT_EXCHANGES, ...PLANS })) {
      const tried = { title, size, ...compile(chosen, stages, topology) };
      for (const apart of [false, true]) await compare(tried, apart, calibrated);
    }
} finally {
  rmSync(folder, { recursive: true });
}
