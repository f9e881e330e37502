/**
 * From a runtime graph and a model source to a running engine: finds and checks the weights before any device is
 * touched, opens one device per device of the plan, prepares it.
 */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { openDevices } from '../device/dawn.js';
import type { Device } from '../device/device.js';
import { RuntimeFailure } from '../failure.js';
import { kernelVariants } from '../kernels/library.js';
import type { TierFiles } from '../kv/tier-files.js';
import type { TransitionMode } from '../scheduler/types.js';
import { neededTensors } from '../weights/graph-tensors.js';
import { hostWeights } from '../weights/host-weights.js';
import { openModelDirectory, resolveModelDirectory } from '../weights/model-dir.js';
import { randomWeightSource } from '../weights/random-weights.js';
import { validateLayers, validateShape, validateWeights } from '../weights/validate-model.js';
import { fileWeightSource } from '../weights/weight-source.js';
import type { WeightSource } from '../weights/weight-source.js';
import { DISK, NO_TRACE, traced } from '../trace/tracer.js';
import type { Tracer } from '../trace/tracer.js';
import { createEngine } from './engine.js';
import type { OnMove } from './prepare.js';
import type { Engine } from './types.js';
import { withoutPeers } from './without-peers.js';

export interface OpenEngineOptions {
  /** Model directory; default: the source the plan names, relative to the plan's file. */
  readonly modelDirectory?: string;
  readonly progress?: (what: string) => void;
  /** How stages change on shared devices; default: `dataflow`. */
  readonly transitions?: TransitionMode;
  /** Checks everything that moves end to end (FC0921 where something differs); slow. */
  readonly verifyMoves?: boolean;
  /** Told of every slot's worth of weights that moved; see `EngineOptions`. */
  readonly onMove?: OnMove;
  /** Files of the disk tier; default: those of the system. */
  readonly tierFiles?: TierFiles;
  /** Weigh loads by what the run measures, not by the graph's figures alone. Default: true. */
  readonly measuresCosts?: boolean;
  /** Compute what prompts have in common once. Default: true. */
  readonly reusesPrefixes?: boolean;
  /** Gives up opening: devices are destroyed and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly tracer?: Tracer;
  /** Opens `count` devices; default: the Dawn backend. */
  readonly open?: (count: number, labels: readonly string[]) => Promise<readonly Device[]>;
}

/**
 * Opens an engine for a graph. Rejects with RuntimeFailure when the weights are missing or do not fit the graph, when
 * no adapter is found, or when a device refuses memory.
 */
export async function openEngine(graph: RuntimeGraph, options: OpenEngineOptions = {}): Promise<Engine> {
  const files = openWeights(graph, options.modelDirectory);
  const tracer = options.tracer ?? NO_TRACE;
  const source =
    graph.transitions.length > 0
      ? traced(tracer, DISK.read, 'read weights', () => hostCopy(files, graph), {
          origin: graph.model.origin,
        })
      : files;
  const labels = graph.devices.map((device) => device.path);
  const open = options.open ?? ((count, names) => openDevices(count, { labels: names }));
  let devices: readonly Device[] = [];
  try {
    devices = await open(graph.devices.length, labels);
    const created = createEngine({
      graph: withoutPeers(graph),
      devices: new Map(graph.devices.map((device, i) => [device.id, devices[i]!])),
      library: kernelVariants,
      source,
      tracer,
      ...(options.progress === undefined ? {} : { progress: options.progress }),
      ...(options.transitions === undefined ? {} : { transitions: options.transitions }),
      ...(options.verifyMoves === undefined ? {} : { verifyMoves: options.verifyMoves }),
      ...(options.onMove === undefined ? {} : { onMove: options.onMove }),
      ...(options.tierFiles === undefined ? {} : { tierFiles: options.tierFiles }),
      ...(options.reusesPrefixes === undefined ? {} : { reusesPrefixes: options.reusesPrefixes }),
      ...(options.measuresCosts === undefined ? {} : { measuresCosts: options.measuresCosts }),
    });
    return await unlessAborted(created, options.signal);
  } catch (error) {
    for (const device of devices) device.destroy();
    throw error;
  } finally {
    // Everything is on the devices or in the host copy by now.
    files.close();
  }
}

/** What the promise gives, or a rejection as soon as the signal aborts; the promise is then left to itself. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let give = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    give = () => reject(signal.reason as Error);
  });
  if (signal.aborted) give();
  signal.addEventListener('abort', give);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', give);
    promise.catch(() => undefined);
  }
}

/** Transitions upload weights again and again: what they need is kept in host memory, once, whatever the shardings. */
function hostCopy(files: WeightSource, graph: RuntimeGraph): WeightSource {
  const copy = hostWeights(files, neededTensors(graph).values());
  copy.load();
  return copy;
}

/** The graph's weights as files or as `random(seed)`, validated against the graph. */
export function openWeights(graph: RuntimeGraph, modelDirectory?: string): WeightSource {
  const { model } = graph;
  if (modelDirectory === undefined && model.source === undefined) {
    if (model.randomSeed === undefined) {
      throw new RuntimeFailure(
        'FC0910',
        `model ${model.name} is declared by shape alone and has no weights`,
        {
          subject: model.name,
          help: 'give a model directory with --model, or declare `source: random(1)` in the plan',
        },
      );
    }
    return randomWeightSource(model.randomSeed, neededTensors(graph));
  }
  const directory =
    modelDirectory === undefined
      ? resolveModelDirectory(model.source!, model.sourceBase)
      : resolveModelDirectory(modelDirectory);
  const opened = openModelDirectory(directory);
  validateShape(model.shape, opened);
  validateLayers(model.shape, opened);
  const needed = neededTensors(graph);
  // Blocks of a file are kept where the plan was compiled for them, and dequantised where it asks for another type.
  const source = fileWeightSource(opened.tensors, (name, type) => needed.get(name)?.dtype === type);
  validateWeights(graph, source, opened);
  return source;
}
