/** Panels of the page of a simulation: figures, bars and tables as HTML. */
import { COST_KINDS } from '../../compiler/cost/program-cost.js';
import { escapeText } from '../../compiler/reshard/svg.js';
import type { DeviceTime } from '../../runtime/clock/simulation.js';
import { formatBytes, formatCount, formatDuration, formatRequestRate, plural } from '../format.js';
import { COST_HEADINGS, deviceGroups } from '../device-times.js';
import { movedBytes, type SimulationReport } from '../simulation-report.js';

/** A part of a bar: its share of the whole, in the colour of a custom property. */
interface Part {
  readonly name: string;
  readonly colour: string;
  readonly fraction: number;
  /** Shown beside the name when pointed at. */
  readonly value: string;
}

interface BarRow {
  readonly name: string;
  /** Where the name leads to. */
  readonly href?: string;
  readonly parts: readonly Part[];
  readonly figure: string;
}

/** Bars below each other, with a legend where there is more than one colour. */
export function bars(rows: readonly BarRow[]): string {
  const drawn = rows.map(({ name, href, parts, figure }) => {
    const spans = parts
      .filter(({ fraction }) => fraction > 0.0005)
      .map(({ name: part, colour, fraction, value }) => {
        const label = fraction > 0.07 ? `${(100 * fraction).toFixed(0)}%` : '';
        const quiet = /bubbles|tail|room/.test(colour) ? ' class="quiet"' : '';
        const style = `width:${(100 * fraction).toFixed(3)}%;background:var(${colour})`;
        return `<span${quiet} style="${style}" title="${escapeText(`${part}: ${value}`)}">${label}</span>`;
      });
    const text = escapeText(name);
    const shown = href === undefined ? text : `<a href="${href}">${text}</a>`;
    return `<div class="name">${shown}</div><div class="bar">${spans.join('')}</div><div class="figure">${escapeText(figure)}</div>`;
  });
  const used = new Map(
    rows.flatMap(({ parts }) =>
      parts.filter(({ fraction }) => fraction > 0.0005).map(({ name, colour }) => [colour, name] as const),
    ),
  );
  const legend = used.size > 1 ? legendOf([...used].map(([colour, name]) => [name, colour])) : '';
  return `<div class="bars">${drawn.join('')}</div>${legend}`;
}

/**
 * A legend.
 *
 * @param entries names, and the custom properties of their colours
 */
export function legendOf(entries: readonly (readonly [name: string, colour: string])[]): string {
  const items = entries.map(
    ([name, colour]) => `<li><i style="background:var(${colour})"></i>${escapeText(name)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** A panel with a heading and a line about it. `content` is HTML, the others are text. */
export function card(title: string, about: string, content: string): string {
  return `<section class="card"><h2>${escapeText(title)}</h2><p class="about">${escapeText(about)}</p>${content}</section>`;
}

const percent = (fraction: number): string => `${(100 * fraction).toFixed(1)}%`;

/** The figures that matter most. */
export function tiles(report: SimulationReport): string {
  const { makespan, devices, transitions, requests } = report;
  const mean = (pick: (device: DeviceTime) => number): number =>
    makespan > 0 ? devices.reduce((sum, each) => sum + pick(each), 0) / devices.length / makespan : 0;
  const figures: readonly (readonly [figure: string, what: string])[] = [
    [formatRequestRate(report.requestsPerSecond), 'requests per second'],
    [
      formatCount(report.tokensPerSecond),
      `tokens per second, ${formatCount(report.outputTokensPerSecond)} of them output`,
    ],
    [formatDuration(makespan), `for ${plural(requests.finished, 'request')}`],
    ...(requests.cut > 0
      ? [[formatCount(requests.cut), 'of them cut short: no room for the whole answer'] as const]
      : []),
    ...(requests.rejected > 0
      ? [[formatCount(requests.rejected), 'rejected: they can never fit'] as const]
      : []),
    [
      percent(mean(({ idle }) => makespan - idle)),
      `of device time in use, ${percent(mean(({ bubbles }) => bubbles))} bubbles`,
    ],
    [report.meanDecodeBatch.toFixed(1), 'sequences in a decode step'],
    [formatCount(transitions.count), `transitions, ${formatDuration(transitions.seconds)} in all`],
    [formatBytes(Math.max(0, ...devices.map(({ peak }) => peak.total))), 'peak memory of a device'],
  ];
  const drawn = figures.map(
    ([figure, what]) =>
      `<div class="tile"><b>${escapeText(figure)}</b><span>${escapeText(what)}</span></div>`,
  );
  return `<div class="tiles">${drawn.join('')}</div>`;
}

/** Where the time of devices goes. */
export function timePanel(report: SimulationReport): string {
  const { makespan } = report;
  const share = (seconds: number): number => (makespan > 0 ? seconds / makespan : 0);
  const rows = deviceGroups(report).map(({ names, device }): BarRow => {
    const parts: readonly (readonly [name: string, colour: string, seconds: number])[] = [
      ...COST_KINDS.map((kind) => [COST_HEADINGS[kind], `--c-${kind}`, device.seconds[kind]] as const),
      ['page moves', '--c-pages', device.pages],
      ['waits for weights', '--c-wait', device.exposedTransition],
      ['bubbles', '--c-bubbles', device.bubbles],
      ['warm-up and tail', '--c-tail', device.idle - device.bubbles],
    ];
    return {
      name: names,
      figure: `${percent(makespan > 0 ? 1 - share(device.idle) : 0)} in use`,
      parts: parts.map(([name, colour, seconds]) => ({
        name,
        colour,
        fraction: share(seconds),
        value: `${formatDuration(seconds)}, ${percent(share(seconds))}`,
      })),
    };
  });
  return card('Where the time goes', 'Share of the whole time, by device and category.', bars(rows));
}

/** Memory of devices at its peak. */
export function memoryPanel(report: SimulationReport): string {
  const most = (pick: (device: DeviceTime) => number): number => Math.max(1, ...report.devices.map(pick));
  // A plan that uses little of its devices would show next to nothing against what it may use.
  const [total, budget] = [most(({ peak }) => peak.total), most((device) => device.budget)];
  const [scale, what] =
    total < budget / 4 || total > budget
      ? [total, 'the largest peak']
      : [budget, 'the most that the plan may use of one'];
  const rows = deviceGroups(report).map(({ names, device }): BarRow => {
    const { weights, workspace, kv, total } = device.peak;
    const parts: readonly (readonly [name: string, colour: string, bytes: number])[] = [
      ['weights', '--m-weights', weights],
      ['workspace', '--m-workspace', workspace],
      ['KV in use at most', '--m-kv', kv],
      ['room for more KV', '--m-room', Math.max(0, total - weights - workspace - kv)],
    ];
    return {
      name: names,
      figure: `${formatBytes(total)} of ${formatBytes(device.budget)}`,
      parts: parts.map(([name, colour, bytes]) => ({
        name,
        colour,
        fraction: bytes / scale,
        value: formatBytes(bytes),
      })),
    };
  });
  const tiers = Object.entries(report.tierPeak)
    .filter(([, bytes]) => bytes > 0)
    .map(([tier, bytes]) => `${tier} ${formatBytes(bytes)}`);
  const beyond = tiers.length === 0 ? '' : ` KV in other tiers at most: ${tiers.join(', ')}.`;
  const about = `Peak of every device, and what the plan may use of it. A full bar is ${formatBytes(scale)}, ${what}.${beyond}`;
  return card('Memory', about, bars(rows));
}

/** How busy links are, and what went over them. */
export function linkPanel(report: SimulationReport): string {
  const rows = report.linkUse.map(({ link, bytes, busiest }): BarRow => ({
    name: link,
    figure: formatBytes(bytes),
    parts: [
      {
        name: 'busiest lane',
        colour: '--accent',
        fraction: Math.min(1, busiest),
        value: `occupied ${percent(busiest)} of the time`,
      },
    ],
  }));
  const moved = movedBytes(report).map(
    ([name, bytes]) => `<tr><td>${escapeText(name)}</td><td>${formatBytes(bytes)}</td></tr>`,
  );
  const table = moved.length === 0 ? '' : `<table>${moved.join('')}</table>`;
  const about =
    rows.length === 0
      ? 'Nothing moves.'
      : 'How long the busiest lane of each link was occupied, and what moved: of an exchange what all ranks give and take.';
  return card('Links', about, (rows.length === 0 ? '' : bars(rows)) + table);
}

/** The plans by throughput. */
export function rankPanel(reports: readonly SimulationReport[], idOf: (plan: string) => string): string {
  const ranked = reports.toSorted((a, b) => b.requestsPerSecond - a.requestsPerSecond);
  const best = ranked[0]?.requestsPerSecond ?? 0;
  const rows = ranked.map(({ plan, requestsPerSecond, makespan, requests }): BarRow => {
    const fraction = best > 0 ? requestsPerSecond / best : 0;
    const rejected = requests.rejected > 0 ? `, ${plural(requests.rejected, 'request')} rejected` : '';
    const cut = requests.cut > 0 ? `, ${plural(requests.cut, 'answer')} cut short` : '';
    return {
      name: plan,
      href: `#${idOf(plan)}`,
      figure: `${formatRequestRate(requestsPerSecond)} requests/s, ${formatDuration(makespan)}${rejected}${cut}`,
      parts: [{ name: plan, colour: '--accent', fraction, value: `${fraction.toFixed(2)}x of the best` }],
    };
  });
  return `<div class="plans">${card('Plans by throughput', 'Relative to the best.', bars(rows))}</div>`;
}

/** All figures of devices as a table, for those who want the numbers. */
export function figuresPanel(report: SimulationReport): string {
  const kinds = COST_KINDS.filter((kind) => report.devices.some(({ seconds }) => seconds[kind] > 0));
  const heads = [
    'device',
    ...kinds.map((kind) => COST_HEADINGS[kind]),
    'page moves',
    'waits for weights',
    'bubbles',
    'idle',
  ];
  const rows = report.devices.map(({ device, seconds, pages, exposedTransition, bubbles, idle }) => [
    device,
    ...[...kinds.map((kind) => seconds[kind]), pages, exposedTransition, bubbles, idle].map((each) =>
      each.toPrecision(4),
    ),
  ]);
  const line = (tag: string, cells: readonly string[]): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeText(cell)}</${tag}>`).join('')}</tr>`;
  const table = `<table>${line('th', heads)}${rows.map((row) => line('td', row)).join('')}</table>`;
  return `<details><summary>Seconds of every device</summary><div class="wide">${table}</div></details>`;
}
