/**
 * Paints a timeline: axis, lanes with their slices, charts. The function goes into the page as its own text, so it uses
 * nothing from outside of itself.
 */
import type { Pen } from './browser.js';
import type { TimelineData } from './timeline-data.js';
import type { LaidChart, TimelineLayout } from './timeline-layout.js';

/** The part of the time that is shown, in seconds. */
export interface PaintedView {
  readonly from: number;
  readonly to: number;
  /** Pixels from the gutter to the end of the drawing. */
  readonly span: number;
  /** Where a time is, in pixels; outside of the drawing for those that are not shown. */
  readonly xOf: (time: number) => number;
  /** A time for a label, told apart from those a step before and behind it. */
  readonly seconds: (value: number, step: number) => string;
  /** The value of a custom property of the page's style. */
  readonly colour: (name: string) => string;
}

/** Paints the part of a timeline that is shown. */
export function paintTimeline(
  pen: Pen,
  { makespan, ticks, samples, kinds }: TimelineData,
  layout: TimelineLayout,
  view: PaintedView,
): void {
  const { from, to, span, colour } = view;

  function drawAxis(): void {
    const rough = (to - from) / Math.max(2, span / 110);
    // Up to 20 seconds; above, whole minutes: 50 seconds divide none.
    const [unit, least] = rough > 20 ? [60, Math.max(60, rough)] : [1, rough];
    const power = 10 ** Math.floor(Math.log10(least / unit));
    const step = [1, 2, 5, 10].map((each) => each * power * unit).find((each) => each >= least)!;
    pen.font = '11px system-ui, sans-serif';
    pen.textAlign = 'center';
    pen.textBaseline = 'middle';
    for (let mark = Math.ceil(from / step) * step; mark <= to; mark += step) {
      const x = Math.round(view.xOf(mark)) + 0.5;
      pen.strokeStyle = colour('--grid');
      pen.beginPath();
      pen.moveTo(x, layout.axis - 6);
      pen.lineTo(x, layout.height);
      pen.stroke();
      pen.fillStyle = colour('--muted');
      if (x > layout.gutter + 8 && x < layout.gutter + span + layout.right - 24)
        pen.fillText(mark === 0 ? '0' : view.seconds(mark, step), x, 10);
    }
  }

  function drawSlices(flat: readonly number[], top: number, tall: number, alpha: number): void {
    const scale = makespan / ticks;
    const edge = layout.gutter + span;
    const fill = (left: number, width: number, kind: string, part: number): void => {
      // What there is little of is still seen.
      pen.globalAlpha = alpha * (0.2 + 0.8 * Math.min(1, part));
      pen.fillStyle = colour(`--k-${kind}`);
      pen.fillRect(left, top, width, tall);
    };
    // Of slices narrower than a pixel, how much of it those of each kind cover.
    let column = 0;
    let covered = new Map<string, number>();
    let until = -Infinity;
    const flush = (): void => {
      const [most] = [...covered].sort((a, b) => b[1] - a[1]);
      if (most === undefined) return;
      const whole = [...covered.values()].reduce((sum, part) => sum + part, 0);
      fill(column, 1, most[0], whole);
      covered = new Map();
    };
    const cover = (at: number, kind: string, part: number): void => {
      if (at !== column) flush();
      column = at;
      covered.set(kind, (covered.get(kind) ?? 0) + part);
    };
    for (let i = 0; i < flat.length; i += 6) {
      const start = view.xOf(flat[i]! * scale);
      const end = view.xOf((flat[i]! + flat[i + 1]!) * scale);
      if (end < layout.gutter || start > edge) continue;
      const kind = kinds[flat[i + 2]!]!;
      const lasts = flat[i + 1] === 0 ? 1 : flat[i + 5]! / flat[i + 1]!;
      if (end - start < 1) {
        const at = Math.floor(Math.max(layout.gutter, start));
        // What others have covered counts once.
        const from = Math.min(end, Math.max(start, until));
        const here = Math.max(0, Math.min(end, at + 1) - from);
        cover(at, kind, here * lasts);
        if (end > at + 1 && at + 1 < edge) cover(at + 1, kind, (end - Math.max(from, at + 1)) * lasts);
        until = Math.max(until, end);
        continue;
      }
      flush();
      const left = Math.max(layout.gutter, start);
      const right = Math.min(edge, end);
      fill(left, right - left - (right - left > 4 ? 0.75 : 0), kind, lasts);
    }
    flush();
    pen.globalAlpha = 1;
  }

  /** A name as far as there is room for it: what tells devices apart is at its end as a rule, and else at its beginning. */
  function shortened(name: string, room: number): string {
    const fits = (text: string): boolean => pen.measureText(text).width <= room;
    let text = name;
    for (let kept = name.length - 1; kept > 1 && !fits(text); kept--) {
      const head = Math.floor(kept / 3);
      text = `${name.slice(0, head)}…${name.slice(name.length - kept + head)}`;
    }
    return text;
  }

  function drawRows(): void {
    pen.textBaseline = 'middle';
    let named = '';
    for (const { lane, y: top, height: tall } of layout.rows) {
      pen.textAlign = 'right';
      pen.font = '10px system-ui, sans-serif';
      pen.fillStyle = colour('--muted');
      const thread = layout.many ? '' : lane.thread;
      pen.fillText(thread, layout.gutter - 8, top + tall / 2);
      const room = layout.gutter - 16 - pen.measureText(thread).width;
      if (lane.process !== named) {
        pen.textAlign = 'left';
        pen.font = '600 12px system-ui, sans-serif';
        pen.fillStyle = colour('--ink');
        const middle = top + Math.min(tall, 14) / 2 + (tall > 14 ? 3 : 0);
        pen.fillText(shortened(lane.process, room), 2, middle);
        named = lane.process;
      }
      pen.fillStyle = colour('--lane');
      pen.fillRect(layout.gutter, top, span, tall);
      // Steps above, what is within them below.
      const split = lane.within.length > 0 ? Math.round(tall * 0.58) : tall;
      drawSlices(lane.slices, top, split, lane.thread === 'weights' ? 0.6 : 1);
      if (split < tall) drawSlices(lane.within, top + split + 1, tall - split - 1, 1);
    }
  }

  function drawChart(chart: LaidChart): void {
    const { top, series, stacked } = chart;
    const bottom = top + layout.chart;
    const most = stacked
      ? Math.max(1, ...samples.map((_, i) => series.reduce((sum, { of }) => sum + of[i]!, 0)))
      : 1;
    const yOf = (value: number): number => bottom - (value / most) * layout.chart;
    pen.textAlign = 'left';
    pen.textBaseline = 'middle';
    pen.font = '600 12px system-ui, sans-serif';
    pen.fillStyle = colour('--ink');
    pen.fillText(chart.title, 2, top + 6);
    pen.font = '10px system-ui, sans-serif';
    series.forEach(({ name, colour: key }, i) => {
      pen.fillStyle = colour(key);
      pen.fillRect(2, top + 22 + 14 * i, 8, 8);
      pen.fillStyle = colour('--muted');
      pen.fillText(name, 15, top + 26 + 14 * i);
    });
    pen.textAlign = 'right';
    pen.fillStyle = colour('--muted');
    pen.fillText(chart.format(most), layout.gutter - 8, top + 5);
    pen.fillText('0', layout.gutter - 8, bottom - 5);
    pen.fillStyle = colour('--lane');
    pen.fillRect(layout.gutter, top, span, layout.chart);
    // A value holds until the next sample. Those that are not in sight would all stand at an edge.
    const inSight = [...samples.keys()].filter(
      (i) => samples[i]!.time <= to && (samples[i + 1]?.time ?? makespan) >= from,
    );
    const base = samples.map(() => 0);
    for (const { of, colour: key } of series) {
      const [lower, upper] = [[...base], of.map((value, i) => (stacked ? base[i]! + value : value))];
      pen.fillStyle = colour(key);
      pen.strokeStyle = colour(key);
      const outline = (values: readonly number[], back: boolean): void => {
        for (const i of back ? inSight.toReversed() : inSight) {
          const start = Math.min(Math.max(view.xOf(samples[i]!.time), layout.gutter), layout.gutter + span);
          const next = samples[i + 1]?.time ?? makespan;
          const end = Math.min(Math.max(view.xOf(next), layout.gutter), layout.gutter + span);
          pen.lineTo(back ? end : start, yOf(values[i]!));
          pen.lineTo(back ? start : end, yOf(values[i]!));
        }
      };
      pen.beginPath();
      outline(upper, false);
      outline(lower, true);
      pen.closePath();
      pen.globalAlpha = stacked ? 0.9 : 0.25;
      pen.fill();
      pen.globalAlpha = 1;
      if (!stacked) {
        pen.lineWidth = 1.5;
        pen.beginPath();
        outline(upper, false);
        pen.stroke();
        pen.lineWidth = 1;
      }
      if (stacked) upper.forEach((value, i) => (base[i] = value));
    }
  }

  drawAxis();
  drawRows();
  layout.charts.forEach(drawChart);
}
