/** All drawings of a plan as one HTML file that asks the network for nothing. */
import { escapeText } from '../../compiler/reshard/svg.js';
import { htmlDocument } from '../page/document.js';

/** A drawing with its sources for other tools. */
export interface Drawn {
  readonly level: string;
  readonly svg: string;
  readonly dot: string;
  readonly mermaid: string;
}

/** The whole file. */
export function printHtml(title: string, drawings: readonly Drawn[]): string {
  const source = (name: string, text: string): string =>
    `<details><summary>${name}</summary><pre>${escapeText(text)}</pre></details>`;
  const sections = drawings.map(
    ({ level, svg, dot, mermaid }) =>
      `<section class="card" id="${level}"><h2>${level}</h2><div class="drawing">${svg}</div>${source('DOT', dot)}${source('Mermaid', mermaid)}</section>`,
  );
  const links = drawings.map(({ level }) => `<a href="#${level}">${level}</a>`);
  const header = `<header><h1>${escapeText(title)}</h1><p>${links.join(' ')}</p></header>`;
  return htmlDocument({ title, main: `${header}\n${sections.join('\n')}`, style: DRAWING_STYLE });
}

/** Drawings have colours of their own, made for paper. */
const DRAWING_STYLE = `
.drawing { background: #ffffff; border-radius: 8px; overflow-x: auto; margin-top: 8px; }
.drawing svg { display: block; max-width: 100%; height: auto; }
h2 { text-transform: capitalize; }
pre { overflow: auto; max-height: 40vh; font-size: 12px; }
header a { color: inherit; margin-right: 10px; }
`;
