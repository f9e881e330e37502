/** What a person sees of a diagnostic. */
import { describe, expect, it } from 'vitest';
import { diagnosticJson } from '../../cli/diagnostic-json.js';
import { renderDiagnostic, type RenderOptions } from '../../cli/render-diagnostics.js';
import type { Diagnostic } from '../../compiler/diagnostics/diagnostic.js';

const SERVE = [
  'plan serve for llama on pod {',
  '\tstage decode on gpu {',
  '    mesh (tp: 16)',
  '  }',
  '',
  '  kv { page: 16 tokens }',
  '}',
].join('\n');
const MODELS = 'model llama { source: "./llama3-8b" }';
const TEXTS: Readonly<Record<string, string>> = { '/p/serve.plan': SERVE, '/p/models.plan': MODELS };

const options: RenderOptions = {
  textOf: (file) => TEXTS[file],
  nameOf: (file) => file.replace('/p/', ''),
  colour: false,
};

/** Origin of the only occurrence of a piece of text. */
function at(file: string, piece: string) {
  const start = TEXTS[file]!.indexOf(piece);
  expect(start).toBeGreaterThanOrEqual(0);
  return { file, span: { start, end: start + piece.length } };
}

const diagnostic: Diagnostic = {
  code: 'FC0503',
  slug: 'dim-not-divisible',
  severity: 'error',
  message: '`kv_heads` (8) cannot be split over `tp` (16)',
  primary: { ...at('/p/serve.plan', 'tp: 16'), label: 'tp = 16' },
  related: [
    { ...at('/p/serve.plan', 'decode'), label: 'of this stage' },
    { ...at('/p/models.plan', '"./llama3-8b"'), label: 'kv_heads = 8 from here' },
  ],
  notes: ['kv_heads = 8, from config.json of "./llama3-8b"'],
  helps: ['tp = 1, 2, 4 or 8 divides it'],
  fixes: [{ title: 'use tp: 8', edits: [{ origin: at('/p/serve.plan', '16)'), newText: '8)' }] }],
  data: { dim: 'kv_heads', size: 8 },
};

describe('a diagnostic as text', () => {
  it('shows a part of lines, marks and messages that are very long', () => {
    const word = 'x'.repeat(100_000);
    const text = `${' y'.repeat(500)} ${word} z\n`;
    const place = (piece: string) => {
      const start = text.indexOf(piece);
      return { file: 'long.plan', span: { start, end: start + piece.length } };
    };
    const lines = renderDiagnostic(
      {
        ...diagnostic,
        message: `unexpected \`${word}\``,
        primary: place(word),
        related: [{ ...place(' z'), label: 'of this' }],
      },
      { ...options, textOf: () => text },
    ).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(1100);
    const [head, source, mark, other, below] = lines;
    expect(head).toMatch(/^long\.plan:1:1002: error\[FC0503\]: unexpected `x+\.\.\.$/);
    expect(source).toMatch(/ \| \.\.\.[ y]{100}x{300}\.\.\.$/);
    // The mark begins below what it marks.
    expect(mark).toMatch(/\| +\^{303}$/);
    expect(mark!.indexOf('^')).toBe(source!.indexOf('x'));
    expect(other).toMatch(/ \| \.\.\.x{100} z$/);
    expect(below).toMatch(/\| +-- of this$/);
    expect(below!.indexOf('-')).toBe(other!.indexOf(' z'));
  });

  it('shows place, code, frame, related places, notes and helps', () => {
    expect(renderDiagnostic(diagnostic, options)).toBe(
      [
        'serve.plan:3:11: error[FC0503]: `kv_heads` (8) cannot be split over `tp` (16)',
        '    2 |     stage decode on gpu {',
        '      |           ------ of this stage',
        '    3 |     mesh (tp: 16)',
        '      |           ^^^^^^ tp = 16',
        '  --> models.plan:1:23',
        '    1 | model llama { source: "./llama3-8b" }',
        '      |                       ------------- kv_heads = 8 from here',
        '  kv_heads = 8, from config.json of "./llama3-8b"',
        '  help: tp = 1, 2, 4 or 8 divides it',
      ].join('\n'),
    );
  });

  it('marks left-out lines, an empty span and the end of a text', () => {
    const end = SERVE.length;
    const text = renderDiagnostic(
      {
        ...diagnostic,
        primary: { file: '/p/serve.plan', span: { start: end, end } },
        related: [{ ...at('/p/serve.plan', 'plan'), label: 'opened here' }],
        notes: [],
        helps: [],
        fixes: [],
      },
      options,
    );
    expect(text.split('\n').slice(1)).toEqual([
      '    1 | plan serve for llama on pod {',
      '      | ---- opened here',
      '  ...',
      '    7 | }',
      '      |  ^',
    ]);
  });

  it('keeps to one line of a span over several', () => {
    const start = SERVE.indexOf('stage');
    const spanning = {
      ...diagnostic,
      primary: { file: '/p/serve.plan', span: { start, end: start + 60 } },
      related: [],
    };
    expect(renderDiagnostic(spanning, options)).toContain('      |     ^^^^^^^^^^^^^^^^^^^^^\n');
  });

  it('does without a place and without a text', () => {
    const bare = { ...diagnostic, primary: undefined, related: [], notes: [], helps: [], fixes: [] };
    expect(renderDiagnostic(bare, options)).toBe(
      'error[FC0503]: `kv_heads` (8) cannot be split over `tp` (16)',
    );
    const unseen = { ...bare, primary: { file: 'std/aws', span: { start: 3, end: 4 } } };
    expect(renderDiagnostic(unseen, options)).toMatch(/^std\/aws: error\[FC0503\]/);
  });

  it('helps with what an editor would do where nothing else is said', () => {
    const helpOf = (...titles: readonly string[]): string | undefined => {
      const fixes = titles.map((title) => ({ title, edits: [] }));
      return /help: (.*)/.exec(renderDiagnostic({ ...diagnostic, helps: [], fixes }, options))?.[1];
    };
    expect(helpOf()).toBeUndefined();
    expect(helpOf('Add `a`')).toBe('add `a`');
    expect(helpOf('Change to `1`', 'Change to `2`')).toBe('change to `1`, or change to `2`');
    expect(renderDiagnostic(diagnostic, options)).not.toContain('use tp: 8');
  });

  it('shows nothing that a terminal would obey, and keeps the marks in their columns', () => {
    const source = 'plan \u001b[31mp\u0000 for x';
    const text = renderDiagnostic(
      {
        ...diagnostic,
        message: '`\u001b[2J` means nothing here',
        primary: { file: '/p/odd.plan', span: { start: 11, end: 12 } },
        related: [],
        notes: [],
        helps: [],
        fixes: [],
      },
      { ...options, textOf: () => source },
    );
    expect(text.split('\n').slice(-3)).toEqual([
      expect.stringMatching(/`\ufffd\[2J` means nothing here$/),
      '    1 | plan \ufffd[31mp\ufffd for x',
      '      |            ^',
    ]);
  });

  it('differs in colour alone', () => {
    const coloured = renderDiagnostic(diagnostic, { ...options, colour: true });
    expect(coloured).not.toBe(renderDiagnostic(diagnostic, options));
    const escape = new RegExp(`${String.fromCharCode(27)}\\[[\\d;]*m`, 'g');
    expect(coloured.replace(escape, '')).toBe(renderDiagnostic(diagnostic, options));
  });
});

describe('a diagnostic as JSON', () => {
  it('has lines and columns from 1 beside offsets', () => {
    const json = JSON.parse(JSON.stringify(diagnosticJson(diagnostic, options))) as Record<string, unknown>;
    const start = SERVE.indexOf('tp: 16');
    expect(json).toMatchObject({
      code: 'FC0503',
      slug: 'dim-not-divisible',
      severity: 'error',
      data: { dim: 'kv_heads', size: 8 },
      primary: {
        file: 'serve.plan',
        label: 'tp = 16',
        start: { line: 3, column: 11, offset: start },
        end: { line: 3, column: 17, offset: start + 6 },
      },
      fixes: [{ title: 'use tp: 8', edits: [{ newText: '8)', file: 'serve.plan' }] }],
    });
  });
});
