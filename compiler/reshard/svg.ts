/** A few lines to write SVG with: elements as strings, numbers rounded, text escaped. */

export type Attributes = Readonly<Record<string, string | number>>;

/** One element; `content` is SVG already. */
export function element(name: string, attributes: Attributes, content: readonly string[] = []): string {
  const written = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${typeof value === 'number' ? rounded(value) : escapeText(value)}"`,
  );
  return content.length === 0
    ? `<${name}${written.join('')}/>`
    : `<${name}${written.join('')}>${content.join('')}</${name}>`;
}

/** Text at a baseline. Colour and size are attributes: a style for all texts would win over those of a single one. */
export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...TEXT, ...attributes }, [escapeText(content)]);
}

const SIZE = 13;
const SMALL_SIZE = 11.5;
const TEXT: Attributes = { fill: '#111', 'font-size': SIZE };

/** Attributes of texts that say more than the heading they stand under, and of headings. */
export const SMALL: Attributes = { class: 'small' };
export const BOLD: Attributes = { 'font-weight': 600 };
export const TITLE: Attributes = { 'font-size': 20, ...BOLD };

/** Widths in em of characters that are alike, those of the widest of usual fonts. */
const WIDTHS: readonly (readonly [characters: RegExp, width: number])[] = [
  [/[ ijlIJ',.:;/\\|]/, 0.35],
  [/[frt()[\]!"*_`-]/, 0.44],
  [/[a-ln-vx-z0-9?${}]/, 0.64],
  [/[A-LN-VX-Z&]/, 0.79],
  [/[wM#+<=>^~]/, 0.87],
];
const WIDEST = 1;
const BOLD_TO_PLAIN = 1.12;

/**
 * Pixels that a text takes at most, given the attributes it is drawn with: a picture cannot measure its texts, and
 * whoever looks at it has a font of their own.
 */
export function textWidth(content: string, attributes: Attributes = {}): number {
  const size = attributes['class'] === 'small' ? SMALL_SIZE : Number(attributes['font-size'] ?? SIZE);
  const em = Array.from(content, emOf).reduce((sum, each) => sum + each, 0);
  return em * size * (attributes['font-weight'] === undefined ? 1 : BOLD_TO_PLAIN);
}

function emOf(character: string): number {
  return WIDTHS.find(([characters]) => characters.test(character))?.[1] ?? WIDEST;
}

/** A whole picture on white; `defs` are patterns, markers and the like. */
export function svgDocument(
  { width, height }: { readonly width: number; readonly height: number },
  defs: readonly string[],
  content: readonly string[],
): string {
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  return `${element('svg', { xmlns: 'http://www.w3.org/2000/svg', ...size }, [
    element('style', {}, [
      `text { font-family: system-ui, sans-serif } .small { font-size: ${SMALL_SIZE}px }`,
    ]),
    element('defs', {}, defs),
    element('rect', { width, height, fill: '#fff' }),
    ...content,
  ])}\n`;
}

export function escapeText(content: string): string {
  return content
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function rounded(value: number): string {
  return String(Math.round(value * 100) / 100);
}
