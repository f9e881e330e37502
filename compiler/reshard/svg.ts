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

const TEXT: Attributes = { fill: '#111', 'font-size': 13 };

/** A whole picture on white; `defs` are patterns, markers and the like. */
export function svgDocument(
  { width, height }: { readonly width: number; readonly height: number },
  defs: readonly string[],
  content: readonly string[],
): string {
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  return `${element('svg', { xmlns: 'http://www.w3.org/2000/svg', ...size }, [
    element('style', {}, ['text { font-family: system-ui, sans-serif } .small { font-size: 11.5px }']),
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
