/** The weights that are on the devices to begin with. */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { deviceResidences, deviceTransitions, weightUrgency } from '../../compiler/ir/residences.js';
import type { StageResidence } from '../../compiler/ir/residences.js';
import { createResidentWeights } from '../exec/resident-weights.js';
import type { ResidentWeights } from '../exec/resident-weights.js';
import { createTurns } from '../exec/turns.js';
import { deviceLane } from '../trace/tracer.js';
import type { PrepareOptions } from './prepare.js';

export interface LoadedWeights {
  /** By topology device id. */
  readonly weights: ReadonlyMap<number, ResidentWeights>;
  /** Bytes uploaded. */
  readonly loadedBytes: number;
}

/** Lays out every residence of every device, and uploads the first of each, device by device. */
export async function loadWeights(
  { graph, devices, source, tracer, onMove }: PrepareOptions,
  residences: ReadonlyMap<string, StageResidence>,
  pathOf: (device: number) => string,
): Promise<LoadedWeights> {
  const turns = createTurns();
  const weights = new Map<number, ResidentWeights>();
  let loadedBytes = 0;
  for (const [id, device] of devices) {
    const { budget, peak } = graph.devices.find((each) => each.id === id)!;
    const mine = deviceResidences(graph, residences, id);
    const resident = createResidentWeights(device, mine, deviceTransitions(graph, residences, id), source, {
      spare: budget - peak.total,
      turns,
      urgency: weightUrgency(graph, residences, id),
      ...(onMove && { onMove: (span) => onMove(id, span) }),
    });
    weights.set(id, resident);
    const first = firstResidence(graph, residences, id);
    if (first === undefined) continue;
    const { origin } = graph.stages.find(
      ({ name, ranks }) =>
        residences.get(name)!.residence === first && ranks.some(({ device }) => device === id),
    )!;
    const slice = tracer.begin(deviceLane(pathOf(id), 'weights'), `load ${first}`, { origin });
    const bytes = await resident.load(first);
    slice.end({ bytes });
    loadedBytes += bytes;
  }
  return { weights, loadedBytes };
}

/** The residence a device starts with: that of the first stage of the flow that runs on it. */
function firstResidence(
  graph: RuntimeGraph,
  residences: ReadonlyMap<string, StageResidence>,
  device: number,
): string | undefined {
  const name = graph.flow.stages.find((stage) =>
    graph.stages.some((s) => s.name === stage && s.ranks.some((rank) => rank.device === device)),
  );
  return name === undefined ? undefined : residences.get(name)!.residence;
}
