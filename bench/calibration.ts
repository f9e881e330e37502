/**
 * How far simulations on a calibrated machine are from runs on it: calibrates four devices together and one alone, runs
 * plans of the throughput benchmark, simulates each on both, and prints seconds of both by category with the error. Runs let
 * kernels end before each exchange, so that the two can be told apart.
 *
 *   npm run bench:calibration -- [clerk | 110m] [request sets]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { againstReport, describeAgainst, readRun } from '../cli/against.js';
import { calibratedPlan, describeCalibration, memoryOf } from '../cli/calibration.js';
import { checkFile } from '../compiler/check/check-file.js';
import { oneFileHost } from '../compiler/host.js';
import type { Topology } from '../compiler/plan/plan.js';
import { simulate } from '../runtime/clock/simulate.js';
import { createTimeline, flatSlices } from '../runtime/clock/timeline.js';
import { calibrate, type Calibration } from '../runtime/device/calibrate.js';
import { listAdapters } from '../runtime/device/dawn-instance.js';
import { openDevices } from '../runtime/device/dawn.js';
import { openEngine } from '../runtime/engine/open.js';
import { openTraceFile } from '../runtime/trace/trace-file.js';
import { submitRequests } from './support/requests.js';
import { CASES, compile, PLANS } from './support/throughput-plans.js';

const DEVICES = 4;

/**
 * Topologies that calibrations of this machine write. Software devices are one processor: how fast one of them computes
 * depends on how many others do. `busy` has what each reaches while all compute, `alone` what one reaches while the others
 * are idle; a run is somewhere between, a stage of all devices near the first, a pipeline with gaps near the second.
 */
async function calibratedTopologies(): Promise<{ readonly busy: Topology; readonly alone: Topology }> {
  const [adapter] = await listAdapters();
  if (adapter === undefined) throw new Error('no adapter');
  const devices = await openDevices(DEVICES);
  const busy = await calibrate(devices, () => undefined);
  const { gemm, attention, memory } = await calibrate(devices.slice(0, 1), () => undefined);
  for (const device of devices) device.destroy();
  const topologyOf = (measured: Calibration): Topology => {
    const text = calibratedPlan({
      name: 'here',
      adapter,
      measured,
      ...memoryOf(adapter, DEVICES, totalmem()),
    });
    console.log(`${describeCalibration(measured)}\n\n${text}`);
    const file = `${text}
model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 64, vocab: 64, context: 64, weights: f32 }
plan p for m on here_machine { stage serve: prefill + decode on gpu { mesh (tp: 4) }, flow requests -> serve -> results }`;
    const { plans, diagnostics } = checkFile(oneFileHost('here.plan', file), 'here.plan');
    const [plan] = plans;
    if (plan === undefined) throw new Error(diagnostics[0]?.message);
    return plan.topology;
  };
  return { busy: topologyOf(busy), alone: topologyOf({ ...busy, gemm, attention, memory }) };
}

const [name = 'clerk', sets] = process.argv.slice(2);
const chosen = CASES[name];
if (chosen === undefined) throw new Error(`no shape ${name}`);
const topologies = await calibratedTopologies();
const folder = mkdtempSync(join(tmpdir(), 'fulcrum-calibration-'));
try {
  for (const size of chosen.sets.slice(0, sets === undefined ? undefined : Number(sets)))
    for (const [title, stages] of Object.entries(PLANS)) {
      const { runtime } = compile(chosen, stages, topologies.busy);
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
      for (const [speeds, topology] of Object.entries(topologies)) {
        const timeline = createTimeline();
        const simulated = compile(chosen, stages, topology);
        simulate(simulated.runtime, simulated.plan, run.requests, { timeline });
        const about = `${title}, ${size.promptTokens}:${size.newTokens}, speeds of devices ${speeds}`;
        console.log(
          `\n${describeAgainst({ ...againstReport(run, about, flatSlices(timeline)), trace: 'its run' })}`,
        );
      }
    }
} finally {
  rmSync(folder, { recursive: true });
}
