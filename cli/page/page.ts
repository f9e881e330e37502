/**
 * The page of a simulation: one HTML file with the figures, charts and timelines of the simulated plans. It has all it needs
 * in it and asks the network for nothing.
 */
import { escapeText } from '../../compiler/reshard/svg.js';
import type { SimulationReport } from '../simulation-report.js';
import { htmlDocument } from './document.js';
import { figuresPanel, legendOf, linkPanel, memoryPanel, rankPanel, tiles, timePanel } from './panels.js';
import { SLICE_KINDS, type SliceKind, type TimelineData } from './timeline-data.js';
import { layTimeline } from './timeline-layout.js';
import { paintTimeline } from './timeline-paint.js';
import { seconds, viewTimeline } from './timeline-view.js';

/** A simulated plan as the page shows it. */
export interface SimulatedPlan {
  readonly report: SimulationReport;
  /** `clerk on workstation`. */
  readonly about: string;
  readonly timeline: TimelineData;
}

/** What the page as a whole says. */
export interface PageFacts {
  readonly title: string;
  /** What was run: workload, engine effects. */
  readonly about: string;
}

const KIND_NAMES: Readonly<Record<SliceKind, string>> = {
  prefill: 'prefill step',
  mixed: 'prefill + decode',
  decode: 'decode step',
  kernels: 'kernels',
  all_reduce: 'collective',
  send: 'send',
  samples: 'sampling',
  wait: 'wait for weights',
  asked: 'move asked for',
  page_out: 'KV out',
  page_in: 'KV in',
  weights: 'weights',
  disk: 'disk',
  host: 'host',
};

/** The whole file. */
export function simulationPage({ title, about }: PageFacts, plans: readonly SimulatedPlan[]): string {
  const ids = new Map(plans.map(({ report }, index) => [report.plan, `plan-${index}`]));
  const idOf = (plan: string): string => ids.get(plan)!;
  const several = plans.length > 1;
  const tabs = plans.map(
    ({ report }) =>
      `<button role="tab" id="${idOf(report.plan)}-tab" aria-controls="${idOf(report.plan)}" data-shows="${idOf(report.plan)}" aria-selected="false" tabindex="-1">${escapeText(report.plan)}</button>`,
  );
  const body = [
    `<header><h1>${escapeText(title)}</h1><p>${escapeText(about)}</p>`,
    '<button id="theme" type="button">light / dark</button></header>',
    several
      ? rankPanel(
          plans.map(({ report }) => report),
          idOf,
        )
      : '',
    several ? `<nav role="tablist" aria-label="plans">${tabs.join('')}</nav>` : '',
    ...plans.map((plan) => planSection(plan, idOf(plan.report.plan), several)),
  ];
  const data = plans.map(({ report, timeline }) => dataOf(`${idOf(report.plan)}-data`, timeline));
  const behind = `${data.join('\n')}\n<script>\n${SCRIPT}\n</script>\n`;
  return htmlDocument({ title, main: body.join('\n'), behind });
}

function planSection({ report, about, timeline }: SimulatedPlan, id: string, several: boolean): string {
  const used = new Set(
    timeline.lanes.flatMap(({ slices, within }) =>
      [slices, within].flatMap((flat) => flat.filter((_, i) => i % 6 === 2)),
    ),
  );
  const legend = SLICE_KINDS.filter((_, i) => used.has(i)).map(
    (kind) => [KIND_NAMES[kind], `--k-${kind}`] as const,
  );
  const notes = [
    'Drag to zoom, shift and drag to move, double-click for all; with keys: arrows, + and -, 0.',
    'Slices narrower than a pixel are the paler, the less of it they last.',
    ...(used.has(SLICE_KINDS.indexOf('asked'))
      ? ['Moves last from when they are asked for, and wait for most of it; link is when their bytes go.']
      : []),
    ...timeline.notes,
  ].join(' ');
  const drawing = [
    `<section class="card"><div class="head"><h2>Timeline</h2><p class="about">${escapeText(notes)}</p>`,
    '<button type="button" data-do="in">zoom in</button><button type="button" data-do="out">zoom out</button>',
    '<button type="button" data-do="reset">all</button></div>',
    '<div class="canvas"><canvas tabindex="0" role="img" aria-label="timeline of devices, KV and requests; arrow keys move it, + and - zoom, 0 shows all"></canvas>',
    '<div class="tip" hidden></div></div>',
    legendOf(legend),
    '</section>',
  ].join('');
  return [
    several
      ? `<section class="plan" id="${id}" role="tabpanel" aria-labelledby="${id}-tab">`
      : `<section class="plan" id="${id}">`,
    several ? `<header><h1>${escapeText(report.plan)}</h1><p>${escapeText(about)}</p></header>` : '',
    tiles(report),
    drawing,
    timePanel(report).replace('</section>', `${figuresPanel(report)}</section>`),
    `<div class="pair">${memoryPanel(report)}${linkPanel(report)}</div>`,
    '</section>',
  ].join('\n');
}

/** Data for the script; nothing in it can end the element it stands in. */
function dataOf(id: string, timeline: TimelineData): string {
  const text = JSON.stringify(timeline).replaceAll('<', '\\u003c');
  return `<script type="application/json" id="${id}">${text}</script>`;
}

const SCRIPT = `
const tools = {
  layTimeline: ${layTimeline.toString()},
  paintTimeline: ${paintTimeline.toString()},
  seconds: ${seconds.toString()},
};
const viewTimeline = ${viewTimeline.toString()};
const root = document.documentElement;
const redraws = new Map();
const sections = [...document.querySelectorAll('.plan')];
const tabs = [...document.querySelectorAll('[role=tab]')];
let colours = new Map();
const colour = (name) => {
  if (!colours.has(name)) colours.set(name, getComputedStyle(root).getPropertyValue(name).trim());
  return colours.get(name);
};
const open = (section) => {
  const part = (name) => section.querySelector('[data-do=' + name + ']');
  const redraw = redraws.get(section) ?? viewTimeline(
    {
      canvas: section.querySelector('canvas'),
      tip: section.querySelector('.tip'),
      zoomIn: part('in'), zoomOut: part('out'), reset: part('reset'),
      pixelRatio: window.devicePixelRatio || 1,
      colour,
    },
    JSON.parse(document.getElementById(section.id + '-data').textContent),
    tools,
  );
  redraws.set(section, redraw);
  redraw();
};
const show = (id) => {
  const shown = sections.find((section) => section.id === id) ?? sections[0];
  for (const section of sections) section.hidden = section !== shown;
  for (const tab of tabs) {
    tab.setAttribute('aria-selected', String(tab.dataset.shows === shown.id));
    tab.tabIndex = tab.dataset.shows === shown.id ? 0 : -1;
  }
  open(shown);
};
const choose = (tab) => {
  // To go to another place of a page would take the focus away, and tell of it only some time later.
  const place = '#' + tab.dataset.shows;
  if (location.hash !== place) history.pushState(null, '', place);
  show(tab.dataset.shows);
  tab.focus();
};
const last = tabs.length - 1;
for (const [at, tab] of tabs.entries()) {
  tab.addEventListener('click', () => choose(tab));
  tab.addEventListener('keydown', (event) => {
    const to = { ArrowLeft: at === 0 ? last : at - 1, ArrowRight: at === last ? 0 : at + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(tabs[to]);
  });
}
const fresh = () => {
  colours = new Map();
  for (const section of sections) if (!section.hidden) open(section);
};
document.getElementById('theme').addEventListener('click', () => {
  const dark = root.dataset.theme === undefined
    ? matchMedia('(prefers-color-scheme: dark)').matches : root.dataset.theme === 'dark';
  root.dataset.theme = dark ? 'light' : 'dark';
  fresh();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', fresh);
// Paper is light, and what is on a canvas is there in the colours that it was drawn in.
let theme;
addEventListener('beforeprint', () => {
  theme = root.dataset.theme;
  root.dataset.theme = 'light';
  fresh();
});
addEventListener('afterprint', () => {
  if (theme === undefined) delete root.dataset.theme;
  else root.dataset.theme = theme;
  fresh();
});
addEventListener('resize', fresh);
addEventListener('hashchange', () => show(location.hash.slice(1)));
show(location.hash.slice(1));
`;
