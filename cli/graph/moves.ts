/**
 * Transitions as a diagram: for every change of stage a box with the devices that do the same, what they keep, copy and
 * evict, and edges for what reaches them, from the host copy or from other devices.
 */
import type { CompileResult } from '../../compiler/compile.js';
import { groupBy } from '../../compiler/group-by.js';
import { bytesByDevice, type DeviceBytes } from '../../compiler/ir/reshard-groups.js';
import type { WeightReshard } from '../../compiler/ir/transitions.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { formatTime, reportReshard } from '../../compiler/reshard/describe.js';
import { DRAWN_ALONE, rangesOf } from '../../compiler/plan/ranges.js';
import { formatBytes } from '../format.js';
import type { Diagram, DiagramBox, DiagramEdge, DiagramNode } from './diagram.js';

/** The diagram of all changes of stage. */
export function movesDiagram(plan: Plan, { transitions }: CompileResult): Diagram {
  const drawn = transitions.weights.map((reshard) => drawReshard(plan, reshard));
  return {
    title: `${plan.name}: ${plan.model.name} on ${plan.topology.name}`,
    caption:
      drawn.length > 0
        ? 'What devices do to their weights to change stage; edges are bytes that reach each of them.'
        : 'No devices change stage, or their weights stay: no weights move.',
    items: drawn.map(({ box }) => box),
    edges: drawn.flatMap(({ edges }) => edges),
  };
}

function drawReshard(
  plan: Plan,
  reshard: WeightReshard,
): { readonly box: DiagramBox; readonly edges: readonly DiagramEdge[] } {
  const bytes = bytesByDevice(reshard);
  const path = (device: number): string => plan.topology.devices[device]!.path;
  const prefix = `${reshard.from} -> ${reshard.to}`;
  const total = ({ peers }: DeviceBytes): number => [...peers.values()].reduce((sum, each) => sum + each, 0);
  const alone = bytes.size <= DRAWN_ALONE;
  const classes = [
    ...groupBy([...bytes], ([device, own]) =>
      alone ? String(device) : [own.keep, own.copy, own.upload, own.evict, total(own)].join(),
    ).values(),
  ];
  const idOf = new Map(
    classes.flatMap((members, index) => members.map(([device]) => [device, `${prefix} ${index}`] as const)),
  );
  const host = `${prefix} host`;
  const uploads = classes.some(([first]) => first![1].upload > 0);
  const nodes = classes.map((members): DiagramNode => {
    const [[first, own]] = members as [[number, DeviceBytes]];
    const parts = [
      ['kept', own.keep],
      ['copied', own.copy],
      ['evicted', own.evict],
    ] as const;
    return {
      id: idOf.get(first)!,
      kind: 'device',
      title: rangesOf(members.map(([device]) => path(device))),
      lines: parts
        .filter(([, amount]) => amount > 0)
        .map(([what, amount]) => `${formatBytes(amount)} ${what}`),
    };
  });
  const report = reportReshard(reshard);
  const title = `${prefix}: ${formatBytes(report.linkBytes)} over links, ${formatTime(report.seconds)} predicted`;
  return {
    box: {
      id: prefix,
      title,
      items: [
        ...(uploads
          ? [{ id: host, kind: 'host', title: 'host copy of the weights', lines: [] } as const]
          : []),
        ...nodes,
      ],
    },
    edges: classes.flatMap(([first]): DiagramEdge[] => {
      const [device, own] = first!;
      const to = idOf.get(device)!;
      // Of devices that are drawn as one only those that others send to are shown as senders.
      const peers = groupBy(own.peers, ([source]) => idOf.get(source)!);
      return [
        ...(own.upload > 0
          ? [{ from: host, to, label: [formatBytes(own.upload)], kind: 'flow' } as const]
          : []),
        ...[...peers]
          .filter(([from]) => from !== to)
          .map(([from, parts]): DiagramEdge => {
            const sum = parts.reduce((all, [, amount]) => all + amount, 0);
            return { from, to, label: [formatBytes(sum)], kind: 'flow' };
          }),
      ];
    }),
  };
}
