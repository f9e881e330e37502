/** What re-shards cost, as plain data for reports and as lines for people. */
import { formatQuantity } from '../check/units.js';
import type { KvCost, LinkLoad, TransitionGraph, WeightReshard } from '../ir/transitions.js';

export interface ReshardReport {
  readonly from: string;
  readonly to: string;
  readonly bytes: WeightReshard['bytes'];
  /** Fewest bytes that must reach the devices. */
  readonly lowerBound: number;
  /** Bytes over links, and how many times the lower bound that is: 1 where no link forces staging. */
  readonly linkBytes: number;
  readonly timesBound: number;
  readonly links: readonly LinkLoad[];
  /** Predicted, the least possible, and their quotient. */
  readonly seconds: number;
  readonly boundSeconds: number;
  readonly timesBoundSeconds: number;
}

export interface KvCostReport extends KvCost {
  readonly timesBound: number;
}

/** Figures of one re-shard of weights. */
export function reportReshard({ from, to, bytes, lowerBound, cost }: WeightReshard): ReshardReport {
  const { linkBytes, links, seconds, boundSeconds } = cost;
  return {
    from,
    to,
    bytes,
    lowerBound,
    linkBytes,
    timesBound: times(linkBytes, lowerBound),
    links,
    seconds,
    boundSeconds,
    timesBoundSeconds: times(seconds, boundSeconds),
  };
}

/** Figures of KV on one flow edge, per token. */
export function reportKvCost(cost: KvCost): KvCostReport {
  return { ...cost, timesBound: times(cost.linkBytes, cost.lowerBound) };
}

/** One quotient; 1 where there is nothing to do. */
function times(actual: number, bound: number): number {
  return bound === 0 ? 1 : actual / bound;
}

/** Writes a number of bytes: `17.3 GB`. */
export type ShowBytes = (bytes: number) => string;

/** A re-shard in a few lines: what happens to the bytes, what the links carry, and how far that is from the best. */
export function describeReshard(report: ReshardReport, show: ShowBytes): readonly string[] {
  const { bytes, lowerBound, links, seconds, boundSeconds, timesBound, timesBoundSeconds } = report;
  const parts = [
    ...(bytes.upload > 0 ? [`${show(bytes.upload)} uploaded`] : []),
    ...(bytes.peer > 0 ? [`${show(bytes.peer)} from other devices`] : []),
    ...(bytes.copy > 0 ? [`${show(bytes.copy)} copied on the device`] : []),
    ...(bytes.keep > 0 ? [`${show(bytes.keep)} kept`] : []),
  ];
  return [
    `weights ${report.from} -> ${report.to}: ${parts.length > 0 ? parts.join(', ') : 'nothing moves'}`,
    ...links.map((link) => `  ${describeLink(link, show)}`),
    `  ${formatTime(seconds)} predicted, ${formatTime(boundSeconds)} at best (${formatTimes(timesBoundSeconds)}); ` +
      `lower bound ${show(lowerBound)} (${formatTimes(timesBound)})`,
  ];
}

/** Whether stages stay resident together, in one line. */
export function describeResidence(residence: NonNullable<TransitionGraph['residence']>): string {
  const { both, stages, why, layers = [] } = residence;
  const turns =
    layers.length === 0 ? 'take turns' : `take turns, but layers ${formatRuns(layers)} stay in both`;
  return `weights of ${stages.join(' and ')} ${both ? 'stay resident together' : turns}: ${why}`;
}

/** `0..2, 10`: ascending numbers as runs. */
function formatRuns(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}..${last}`)).join(', ');
}

/** Which replicas the figures of KV are of, where there are several. */
export function meanOfReplicas(cost: Pick<KvCost, 'meanOfReplicas'>): string {
  return cost.meanOfReplicas ? ', the mean from any replica to any' : '';
}

/** KV of a flow edge in a few lines, per token. */
export function describeKvCost(report: KvCostReport, show: ShowBytes): readonly string[] {
  return report.links
    .map((link) => `  ${describeLink(link, show)}`)
    .concat(
      report.links.length === 0
        ? []
        : [
            `  ${formatTime(report.seconds)} per token predicted${meanOfReplicas(report)}; ` +
              `lower bound ${show(report.lowerBound)} (${formatTimes(report.timesBound)})`,
          ],
    );
}

/** `gpu <-> host, host to gpu: 12 MiB; gpu[3] 3 MiB in 1.2 ms`. */
export function describeLink({ link, from, to, bytes, busiest }: LinkLoad, show: ShowBytes): string {
  const way = link.endsWith('memory') ? link : `${link}, ${from} to ${to}`;
  const time = formatTime(busiest.seconds);
  return `${way}: ${show(bytes)}; ${busiest.place} ${show(busiest.bytes)} in ${time}`;
}

/** `1.00x`. */
export function formatTimes(quotient: number): string {
  return `${quotient.toFixed(2)}x`;
}

/** `250 ns`, `12.5 ms`, `3.2 s`. */
export function formatTime(seconds: number): string {
  return formatQuantity(seconds < 1 ? seconds : Number(seconds.toPrecision(3)), 'seconds');
}
