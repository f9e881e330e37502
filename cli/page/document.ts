/** The frame of every page that is written: one HTML file that asks the network for nothing. */
import { escapeText } from '../../compiler/reshard/svg.js';
import { STYLE } from './style.js';

/** The parts of a page. */
export interface PageParts {
  readonly title: string;
  /** HTML of the page itself. */
  readonly main: string;
  /** CSS beside that of all pages. */
  readonly style?: string;
  /** HTML behind the page: data and scripts, in lines of their own. */
  readonly behind?: string;
}

/** The whole HTML file. */
export function htmlDocument({ title, main, style = '', behind = '' }: PageParts): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)}</title>
<style>${STYLE}${style}</style>
</head>
<body>
<main>
${main}
</main>
${behind}</body>
</html>
`;
}
