/**
 * How far simulations on a calibrated machine are from runs on it: calibrates four devices, runs plans of the throughput
 * benchmark, simulates each, and prints seconds of both by category with the error. Runs let kernels end before each
 * exchange, so that the two can be told apart. What else the machine does meanwhile shows in the runs alone, for a
 * calibration takes the best of many rounds: the load is printed beside.
 *
 *   npm run bench:calibration -- [clerk | 110m] [request sets]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir, totalmem } from 'node:os';
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
  const measured = await calibrate(devices, () => undefined);
  for (const device of devices) device.destroy();
  const memory = memoryOf(adapter, DEVICES, totalmem());
  const text = calibratedPlan({ name: 'here', adapter, measured, ...memory });
  console.log(`load ${load()}\n${describeCalibration(measured)}\n\n${text}`);
  const file = `${text}
model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 64, vocab: 64, context: 64, weights: f32 }
plan p for m on here_machine { stage serve: prefill + decode on gpu { mesh (tp: 4) }, flow requests -> serve -> results }`;
  const { plans, diagnostics } = checkFile(oneFileHost('here.plan', file), 'here.plan');
  const [plan] = plans;
  if (plan === undefined) throw new Error(diagnostics[0]?.message);
  return plan.topology;
}

/** Mean number of processes that ran or wanted to in the last minute. */
const load = (): string => loadavg()[0]!.toFixed(1);

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
      await engine.run();
      await engine.dispose();
      tracer.close();
      const run = readRun(path);
      if (typeof run === 'string') throw new Error(run);
      const timeline = createTimeline();
      simulate(runtime, plan, run.requests, { timeline });
      const about = `${title}, ${size.promptTokens}:${size.newTokens}, load ${load()}`;
      console.log(
        `\n${describeAgainst({ ...againstReport(run, about, flatSlices(timeline)), trace: 'its run' })}`,
      );
    }
} finally {
  rmSync(folder, { recursive: true });
}
