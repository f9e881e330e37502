/**
 * Diagnostics as text: a header that editors and build tools can parse, a frame of the source with every place that
 * plays a part, then facts and helps.
 *
 *   serve.plan:26:14: error[FC0503]: `kv_heads` (8) cannot be split over `tp` (16)
 *      26 |     mesh (tp: 16)
 *         |           ^^^^^^ tp = 16
 *     kv_heads = 8, from config.json of "./models/llama3-8b"
 *     help: tp = 1, 2, 4 or 8 divides it
 */
import { lineMap } from '../grammar/line-map.js';
import type { Diagnostic, Origin, Severity } from '../compiler/diagnostics/diagnostic.js';

export interface RenderOptions {
  /** Text of a file that diagnostics point into, or undefined when there is none to show. */
  readonly textOf: (file: string) => string | undefined;
  /** How a file is called in messages. */
  readonly nameOf: (file: string) => string;
  readonly colour: boolean;
}

interface Mark {
  readonly origin: Origin;
  readonly label: string;
  readonly primary: boolean;
}

type Paint = (text: string, style: keyof typeof STYLES) => string;

const STYLES = { error: '1;31', warning: '1;33', note: '1;36', dim: '34', bold: '1', help: '1;32' } as const;
const TAB = '    ';

function painter(colour: boolean): Paint {
  return (text, style) => (colour && text !== '' ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text);
}

/** Characters that a terminal obeys or does not show; tabs and line ends are no part of it. */
const CONTROLS = /(?![\t\n])\p{Cc}/gu;

/** A text with such characters shown as what they are: no letters. Its length stays. */
function shown(text: string): string {
  return text.replace(CONTROLS, '\ufffd');
}

/** Characters shown of a message, and of a line around a mark: a token may be as long as its file. */
const MOST_OF_MESSAGE = 1000;
const MOST_OF_LINE = 400;

/** A message, or its beginning where it is very long. */
function beginning(message: string): string {
  return message.length > MOST_OF_MESSAGE ? `${message.slice(0, MOST_OF_MESSAGE)}...` : message;
}

/** The text of one diagnostic, without a final line end. */
export function renderDiagnostic(diagnostic: Diagnostic, options: RenderOptions): string {
  const painted = painter(options.colour);
  const paint: Paint = (text, style) => painted(shown(text), style);
  const { severity, code, message, primary } = diagnostic;
  const place = primary === undefined ? '' : `${placeName(primary, options)}: `;
  const head = `${paint(place, 'bold')}${paint(`${severity}[${code}]`, severity)}: ${paint(beginning(message), 'bold')}`;

  const marks: Mark[] = [
    ...(primary === undefined ? [] : [{ origin: primary, label: primary.label ?? '', primary: true }]),
    ...diagnostic.related.map((related) => ({ origin: related, label: related.label, primary: false })),
  ];
  const files = [...new Set(marks.map((mark) => mark.origin.file))];
  const frames = files.flatMap((file) => {
    const here = marks.filter((mark) => mark.origin.file === file);
    const frame = renderFrame(file, here, severity, options, paint);
    const header = `  --> ${placeName(here[0]!.origin, options)}`;
    return file === primary?.file ? frame : [header, ...frame];
  });
  return [
    head,
    ...frames,
    ...diagnostic.notes.map((note) => `  ${shown(note)}`),
    ...helpsOf(diagnostic).map((help) => `  ${paint('help', 'help')}: ${shown(help)}`),
  ].join('\n');
}

/** What would help; where nothing is said of that, what an editor would offer to do. */
function helpsOf({ helps, fixes }: Diagnostic): readonly string[] {
  if (helps.length > 0 || fixes.length === 0) return helps;
  const [first, ...others] = fixes.map(({ title }) => `${title.charAt(0).toLowerCase()}${title.slice(1)}`);
  return [[first, ...others.map((other) => `or ${other}`)].join(', ')];
}

/** `file:line:column` of the start of an origin; the file alone when its text is not at hand. */
export function placeName(origin: Origin, options: Pick<RenderOptions, 'textOf' | 'nameOf'>): string {
  const text = options.textOf(origin.file);
  const name = options.nameOf(origin.file);
  if (text === undefined) return name;
  const { line, column } = lineMap(text).position(origin.span.start);
  return `${name}:${line}:${column}`;
}

/** Each marked line once, in order, with its marks below it; `...` where lines are left out. */
function renderFrame(
  file: string,
  marks: readonly Mark[],
  severity: Severity,
  options: RenderOptions,
  paint: Paint,
): string[] {
  const text = options.textOf(file);
  if (text === undefined)
    return marks.filter((mark) => mark.label !== '').map((mark) => `  ${shown(mark.label)}`);
  const map = lineMap(text);
  const placed = marks
    .map((mark) => ({ ...mark, at: map.position(mark.origin.span.start) }))
    .sort((a, b) => a.at.line - b.at.line || a.at.column - b.at.column);
  const width = Math.max(5, String(placed.at(-1)!.at.line).length + 1);
  const gutter = (label: string): string => paint(`${label.padStart(width)} |`, 'dim');

  const lines: string[] = [];
  let previous: number | undefined;
  let part: PartOfLine | undefined;
  for (const mark of placed) {
    const { line, column } = mark.at;
    const isShown = line === previous && part !== undefined && column <= part.until;
    part = isShown ? part! : partOfLine(map.lineText(line), column);
    const { source, skipped } = part;
    if (!isShown) {
      if (previous !== undefined && line > previous + 1) lines.push(paint('...'.padStart(width), 'dim'));
      lines.push(`${gutter(String(line))} ${shown(source).replaceAll('\t', TAB)}`.trimEnd());
    }
    previous = line;
    const length = mark.origin.span.end - mark.origin.span.start;
    const from = column - 1 - skipped;
    const marked = source.slice(from, from + length);
    const before = ' '.repeat(displayWidth(source.slice(0, from)));
    const under = (mark.primary ? '^' : '-').repeat(Math.max(1, displayWidth(marked)));
    const label = mark.label === '' ? '' : ` ${mark.label}`;
    lines.push(`${gutter('')} ${before}${paint(under + label, mark.primary ? severity : 'dim')}`);
  }
  return lines;
}

interface PartOfLine {
  readonly source: string;
  /** Characters of the line that are not there, less those that stand for them. */
  readonly skipped: number;
  /** The last column that is there. */
  readonly until: number;
}

/** What is shown of a line, for a mark at a column of it: all, unless it is very long. */
function partOfLine(line: string, column: number): PartOfLine {
  if (line.length <= MOST_OF_LINE) return { source: line, skipped: 0, until: Infinity };
  const start = Math.max(0, column - 1 - MOST_OF_LINE / 4);
  const until = start + MOST_OF_LINE;
  const [before, after] = [start > 0 ? '...' : '', until < line.length ? '...' : ''];
  return { source: `${before}${line.slice(start, until)}${after}`, skipped: start - before.length, until };
}

/** Columns that a text takes on screen: tabs as they are printed, other characters one each. */
function displayWidth(text: string): number {
  return [...text.replaceAll('\t', TAB)].length;
}
