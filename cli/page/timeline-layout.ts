/**
 * Where things of a timeline stand on its canvas: a row for each lane, from top to bottom, and charts below. The function
 * goes into the page as its own text, so it uses nothing from outside of itself.
 */
import type { TimelineData } from './timeline-data.js';

/** A lane at its height, in pixels of the page. */
export interface LaidRow {
  readonly lane: TimelineData['lanes'][number];
  readonly y: number;
  readonly height: number;
}

/** A chart over time; series are stacked, or drawn over each other. */
export interface LaidChart {
  readonly title: string;
  readonly top: number;
  readonly stacked: boolean;
  readonly format: (value: number) => string;
  readonly series: readonly {
    readonly name: string;
    /** Custom property of the page's style. */
    readonly colour: string;
    /** A value for each sample. */
    readonly of: readonly number[];
  }[];
}

/** The layout of a timeline, in pixels of the page. */
export interface TimelineLayout {
  /** Width to the left of the drawing, where names stand. */
  readonly gutter: number;
  /** Width of the space to the right of the drawing. */
  readonly right: number;
  /** Height of the axis above. */
  readonly axis: number;
  /** Height of a chart. */
  readonly chart: number;
  readonly height: number;
  /** There are so many lanes that they are thin and have no names. */
  readonly many: boolean;
  readonly rows: readonly LaidRow[];
  readonly charts: readonly LaidChart[];
}

/** Lays a timeline out. */
export function layTimeline({ lanes, samples }: TimelineData): TimelineLayout {
  const AXIS = 26;
  const CHART = 92;
  const CHART_GAP = 30;
  const many = new Set(lanes.map(({ process }) => process)).size > 14;
  const heightOf = (thread: string): number => (thread === 'queue' ? (many ? 14 : 26) : many ? 4 : 9);

  // Rows from top to bottom.
  let y = AXIS;
  const rows = lanes.map((lane, index) => {
    if (index > 0 && lane.process !== lanes[index - 1]!.process) y += many ? 3 : 9;
    const row = { lane, y, height: heightOf(lane.thread) };
    y += row.height + 2;
    return row;
  });
  const charts = [
    {
      title: 'KV in use',
      top: (y += CHART_GAP),
      stacked: false,
      format: (value: number): string => `${(100 * value).toFixed(0)}%`,
      series: [
        { name: 'devices', colour: '--kv-device', of: samples.map((sample) => sample.device) },
        { name: 'host', colour: '--kv-host', of: samples.map((sample) => sample.host) },
        { name: 'disk', colour: '--kv-disk', of: samples.map((sample) => sample.disk) },
      ].filter(({ name, of }) => name === 'devices' || of.some((value) => value > 0)),
    },
    {
      title: 'requests',
      top: (y += CHART + CHART_GAP),
      stacked: true,
      format: (value: number): string => String(Math.round(value)),
      series: [
        { name: 'running', colour: '--r-running', of: samples.map((sample) => sample.running) },
        { name: 'moving', colour: '--r-moving', of: samples.map((sample) => sample.moving) },
        { name: 'on host', colour: '--r-host', of: samples.map((sample) => sample.onHost) },
        { name: 'on disk', colour: '--r-disk', of: samples.map((sample) => sample.onDisk) },
        { name: 'prefilling', colour: '--r-prefilling', of: samples.map((sample) => sample.prefilling) },
        { name: 'waiting', colour: '--r-waiting', of: samples.map((sample) => sample.waiting) },
      ].filter(({ of }) => of.some((value) => value > 0)),
    },
  ];
  const height = y + CHART + 10;
  // Names of devices, as long as their lanes beside them leave room for on a small screen.
  const longest = Math.max(0, ...lanes.map(({ process }) => process.length));
  const gutter = Math.min(232, Math.max(132, 52 + 7 * longest));
  return { gutter, right: 14, axis: AXIS, chart: CHART, height, many, rows, charts };
}
