/**
 * How far simulations on a calibrated machine are from runs on it: calibrates four devices, runs plans of the throughput
 * benchmark, simulates each, and prints seconds of both by category with the error. Runs let kernels end before each
 * exchange, so that the two can be told apart. What else the machine does meanwhile shows in both, but hardly to the same
 * part: how much of the processors that had is printed.
 *
 *   npm run bench:calibration -- [clerk | 110m] [request sets]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { againstReport, describeAgainst, readRun } from '../cli/against.js';
import { calibratedPlan, describeCalibration, memoryOf } from '../cli/calibration.js';
import { checkFile } from '../compiler/check/check-file.js';
import { oneFileHost } from '../compiler/host.js';
import type { Topology } from '../compiler/plan/plan.js';
import { simulate } from '../runtime/clock/simulate.js';
import { createTimeline, flatSlices } from '../runtime/clock/timeline.js';
import { calibrate } from '../runtime/device/calibrate.js';
import { listAdapters } from '../runtime/device/dawn-instance.js';
import { openDevices } from '../runtime/device/dawn.js';
import { openEngine } from '../runtime/engine/open.js';
import { openTraceFile } from '../runtime/trace/trace-file.js';
import { submitRequests } from './support/requests.js';
import { CASES, compile, PLANS } from './support/throughput-plans.js';

const DEVICES = 4;

/** The topology that a calibration of this machine writes. */
async function calibratedTopology(): Promise<Topology> {
  const [adapter] = await listAdapters();
  if (adapter === undefined) throw new Error('no adapter');
  const devices = await openDevices(DEVICES);
  const before = processorSeconds();
  const measured = await calibrate(devices, () => undefined);
  console.log(`${others(before)} while this was measured`);
  for (const device of devices) device.destroy();
  const memory = memoryOf(adapter, DEVICES, totalmem());
  const text = calibratedPlan({ name: 'here', adapter, measured, ...memory });
  console.log(`${describeCalibration(measured)}\n\n${text}`);
  const file = `${text}
model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 64, vocab: 64, context: 64, weights: f32 }
plan p for m on here_machine { stage serve: prefill + decode on gpu { mesh (tp: 4) }, flow requests -> serve -> results }`;
  const { plans, diagnostics } = checkFile(oneFileHost('here.plan', file), 'here.plan');
  const [plan] = plans;
  if (plan === undefined) throw new Error(diagnostics[0]?.message);
  return plan.topology;
}

interface ProcessorSeconds {
  /** Of all processors, idle or not; of all work; of this process. */
  readonly all: number;
  readonly work: number;
  readonly own: number;
}

function processorSeconds(): ProcessorSeconds {
  const { user, system } = process.cpuUsage();
  let [all, idle] = [0, 0];
  for (const { times } of cpus()) {
    idle += times.idle;
    all += times.idle + times.user + times.nice + times.sys + times.irq;
  }
  return { all: all / 1e3, work: (all - idle) / 1e3, own: (user + system) / 1e6 };
}

/** What part of the processors other work has had since then. */
function others(since: ProcessorSeconds): string {
  const now = processorSeconds();
  const foreign = now.work - since.work - (now.own - since.own);
  return `other work had ${Math.round((100 * Math.max(0, foreign)) / (now.all - since.all))}% of the processors`;
}

const [name = 'clerk', sets] = process.argv.slice(2);
const chosen = CASES[name];
if (chosen === undefined) throw new Error(`no shape ${name}`);
const topology = await calibratedTopology();
const folder = mkdtempSync(join(tmpdir(), 'fulcrum-calibration-'));
try {
  for (const size of chosen.sets.slice(0, sets === undefined ? undefined : Number(sets)))
    for (const [title, stages] of Object.entries(PLANS)) {
      const { runtime, plan } = compile(chosen, stages, topology);
      const path = join(folder, 'trace.json');
      const tracer = openTraceFile(path, {
        describe: ({ file }) => file,
        about: { plan: title },
        onBroken: (reason) => {
          throw new Error(reason);
        },
        apart: true,
      });
      const engine = await openEngine(runtime, { tracer });
      submitRequests(
        engine,
        chosen.shape.vocab,
        Array.from({ length: chosen.requests }, () => size),
      );
      const before = processorSeconds();
      await engine.run();
      const beside = others(before);
      await engine.dispose();
      tracer.close();
      const run = readRun(path);
      if (typeof run === 'string') throw new Error(run);
      const timeline = createTimeline();
      simulate(runtime, plan, run.requests, { timeline });
      const about = `${title}, ${size.promptTokens}:${size.newTokens} (${beside})`;
      console.log(
        `\n${describeAgainst({ ...againstReport(run, about, flatSlices(timeline)), trace: 'its run' })}`,
      );
    }
} finally {
  rmSync(folder, { recursive: true });
}
