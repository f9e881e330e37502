/** `--trace`: opens the timeline of a run and says where in the plan its parts come from. */
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { replay, type Timeline } from '../runtime/clock/timeline.js';
import type { PromptEncoder } from '../runtime/jobs/prompt-encoder.js';
import {
  openTraceFile,
  type TraceFigures,
  type TraceFile,
  type TraceFileOptions,
} from '../runtime/trace/trace-file.js';
import { DISK, HOST, type Tracer } from '../runtime/trace/tracer.js';
import { fileHost } from '../runtime/file-host.js';
import { RuntimeFailure } from '../runtime/failure.js';
import { formatCount } from './format.js';
import type { RunSettings } from './run-settings.js';
import { shownPath } from './shown-path.js';
import { placeName } from './render-diagnostics.js';
import { err, type Terminal } from './terminal.js';

/** Opens the trace of a run over a graph. Throws RuntimeFailure FC0940 when it cannot be written. */
export function openTrace(
  path: string,
  graph: RuntimeGraph,
  terminal: Terminal,
  options: Partial<Pick<TraceFileOptions, 'about' | 'now' | 'apart' | 'onBroken' | 'isWhole'>> = {},
): TraceFile {
  const texts = new Map<string, string | undefined>();
  const textOf = (file: string): string | undefined => {
    if (!texts.has(file)) texts.set(file, readText(file));
    return texts.get(file);
  };
  return openTraceFile(path, {
    describe: (origin) => placeName(origin, { textOf, nameOf: shownPath }),
    onBroken: (reason) => err(terminal, `the trace ends early: ${reason}`),
    processes: [HOST.requests.process, DISK.read.process, ...graph.devices.map(({ path: device }) => device)],
    ...options,
    about: { plan: graph.plan, model: graph.model.name, ...options.about },
  });
}

/** Slices within steps beyond which a trace is too large to look at. */
const MOST_INNER = 400_000;

/**
 * Writes the trace of a simulation of `requests`: as that of a run, but the clock is the simulation's. Exchanges within
 * steps are left out where there are very many. Returns FC0940 where it could not be written, or not to its end.
 */
export function writeSimulatedTrace(
  path: string,
  graph: RuntimeGraph,
  timeline: Timeline,
  terminal: Terminal,
  { peakMemory, ...asked }: { readonly requests: string } & RunSettings & Pick<TraceFigures, 'peakMemory'>,
): RuntimeFailure | undefined {
  let milliseconds = 0;
  const about = { device_times: 'simulated', ...asked };
  let broken: string | undefined;
  const onBroken = (reason: string): void => {
    broken = reason;
  };
  let trace: TraceFile;
  try {
    trace = openTrace(path, graph, terminal, {
      about,
      now: () => milliseconds,
      onBroken,
      isWhole: true,
    });
  } catch (error) {
    if (error instanceof RuntimeFailure) return error;
    throw error;
  }
  const within = timeline.slices().reduce((sum, { withinCount = 0 }) => sum + withinCount, 0);
  const inner = within <= MOST_INNER;
  try {
    replay(timeline, trace, (seconds) => (milliseconds = 1000 * seconds), inner);
    trace.close({ peakMemory, resumed: 0 });
  } finally {
    trace.close();
  }
  if (broken !== undefined) return new RuntimeFailure('FC0940', broken, { subject: path });
  const left = inner ? '' : `; ${formatCount(within)} exchanges and kernels within steps are left out`;
  err(terminal, `wrote ${path}${left}`);
  return undefined;
}

/** The text of a plan; none when it has gone, or cannot be read, since the graph was compiled. */
function readText(file: string): string | undefined {
  const text = fileHost().readText(file);
  return typeof text === 'string' ? text : undefined;
}

/** The encoder, with what it has in hand on the timeline. */
export function tracedEncoder(
  encoder: PromptEncoder,
  tracer: Tracer,
  { flow }: Pick<RuntimeGraph, 'flow'>,
): PromptEncoder {
  return {
    ...encoder,
    encode: async (inputs, signal) => {
      const slice = tracer.begin(HOST.tokenise, 'encode prompts', {
        prompts: inputs.length,
        origin: flow.origin,
      });
      try {
        return await encoder.encode(inputs, signal);
      } finally {
        slice.end();
      }
    },
  };
}
