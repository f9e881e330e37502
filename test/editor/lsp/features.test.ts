/** Hover, outline, folds, semantic tokens, signatures, hints: each from a text, without a server. */
import type { Diagnostic as LspDiagnostic } from 'vscode-languageserver/node.js';
import { describe, expect, it } from 'vitest';
import { PARAM_TYPES } from '../../../compiler/check/param-types.js';
import type { Analysis } from '../../../editor/lsp/analysis.js';
import { codeActions, diagnosticsByFile } from '../../../editor/lsp/diagnostics.js';
import { foldsOf } from '../../../editor/lsp/folding.js';
import { hintsOf } from '../../../editor/lsp/hints.js';
import { hoverAt } from '../../../editor/lsp/hover.js';
import { semanticTokens, TOKEN_TYPES } from '../../../editor/lsp/semantic-tokens.js';
import { signatureAt } from '../../../editor/lsp/signature.js';
import { outlineOf } from '../../../editor/lsp/symbols.js';
import { applyChanges } from '../../../editor/lsp/text.js';
import { workspaceEdit, type EditsByUri } from '../../../editor/lsp/workspace-edit.js';
import { memoryHost } from '../../compiler/check/memory-host.js';
import { atCursor, MAIN, rungsOf, WORLD } from './support.js';

const PLAN = `${WORLD}plan p for small on box {
  stage prefill on gpu { mesh (pp: 8) }
  stage decode on gpu {
    mesh (tp: 4, dp: 2)
    batch: 64 requests
  }
  flow requests -> prefill -> decode -> results
  residence: switch
}
`;

const known = new Map<string, readonly Analysis[]>();

/** All rungs of a text; the same text is analysed once. */
function analysed(text: string): readonly Analysis[] {
  const rungs = known.get(text) ?? rungsOf(memoryHost({ [MAIN]: text }), MAIN);
  known.set(text, rungs);
  return rungs;
}

describe('hover', () => {
  const hover = (marked: string): string => {
    const { workspace, text, offset } = atCursor(marked);
    return hoverAt(workspace, MAIN, offset, analysed(text).at(-1)!.notes)?.text ?? '';
  };

  it.each([
    [
      'a declaration with its doc comment',
      PLAN.replace('for small', 'for sm‸all'),
      /model small \{ layers: 8, .*\n```\n\nA small model\./,
    ],
    ['a place', PLAN.replace('prefill on gpu', 'prefill on g‸pu'), /gpu\[8\]: card/],
    ['an imported name', 'import { l‸4 } from "std/aws"', /device l4 .*[^]*from `std\/devices`/],
    [
      'a property with its default',
      PLAN.replace('batch:', 'ba‸tch:'),
      /\*\*batch\*\* of a stage: Most requests/,
    ],
    ['a property of an overhead', 'topology t { overhead { st‸ep: 1 ms } }', /\*\*step\*\* of an overhead: /],
    [
      'a key of a record',
      'device d { kernels: { rms_n‸orm: 40% } }',
      /^\*\*rms_norm\*\* in \*\*kernels\*\* of a device: Fraction of what/,
    ],
    [
      'a key that is a number',
      'topology t { overhead { submit: { ‸2: 60 us } } }',
      /^\*\*2\*\* in \*\*submit\*\* of an overhead: Time/,
    ],
    ['a unit', PLAN.replace('64 requests', '64 requ‸ests'), /measures requests/],
    ['a unit of bytes', PLAN.replace('64 GiB', '64 Gi‸B'), /measures bytes: 1,073,741,824/],
    ['a keyword', PLAN.replace('  flow', '  fl‸ow'), /\*\*flow\*\*: The way from requests/],
    ['an axis', PLAN.replace('tp: 4', 't‸p: 4'), /\*\*tp\*\*: Splits heads/],
    [
      'what a mesh came to',
      PLAN.replace('tp: 4', 't‸p: 4'),
      /\| weights \| .*[^]*\| KV \| .*tokens a replica[^]*all_reduce<tp>/,
    ],
  ])('says of %s', (_, marked, text) => {
    expect(hover(marked)).toMatch(text);
  });

  const rule =
    'plan p for m on t { flow requests -> a -> results { to a when requests.empty or host.empty } }';
  const tiers = 'plan p for m on t { kv { tiers: gpu -> host up to 3 GiB } }';
  const stage =
    'plan p for m on t { stage s on gpu { mesh (tp: 2, dp: fill)\n override layers[0..1].mlp { } } }';
  const dims =
    'plan p for m on t { stage s on gpu { shard heads, ffn on tp, replicate kv_heads, vocab, split layers on pp } }';
  const measure = 'plan p for m on t { expect { collectives(a, per: layer) <= 2 } }';
  it.each([
    ['a cap', tiers, 't‸o 3', '**to**: Caps the tier: `up to 400 GiB`.'],
    ['a tier chain', tiers, 'tie‸rs', /^\*\*tiers\*\* of a kv block: /],
    ['a rule', rule, 't‸o a', '**to**: When the devices switch to another stage.'],
    ['what waits', rule, 'requests.em‸pty', '**empty**: No request waits.'],
    ['a tier', rule, 'host.em‸pty', '**empty**: The tier holds nothing.'],
    ['a condition', rule, 'wh‸en', '**when**: The condition.'],
    ['an end of a flow', rule, 'resu‸lts', '**results**: Where answers go.'],
    ['a rest', stage, 'fi‸ll', '**fill**: What the other axes leave.'],
    ['layers', stage, 'lay‸ers', /^\*\*layers\*\*: Layers of the model/],
    ['a part of a layer', stage, 'ml‸p', '**mlp**: The MLP of a layer.'],
    ['a further dimension', dims, 'ff‸n on', '**ffn**: Inner size of the MLP.'],
    ['a dimension before others', dims, 'he‸ads,', /^\*\*heads\*\*: /],
    ['a dimension that is replicated', dims, 'vo‸cab', /^\*\*vocab\*\*: /],
    ['a member behind dimensions', dims, 'spl‸it', /^\*\*split\*\*: /],
    ['a figure', measure, 'p‸er:', '**per**: What the figure is for.'],
    ['what a figure is for', measure, 'lay‸er', '**layer**: One layer.'],
  ])('tells by the place which meaning a word has: %s', (_, text, at, said) => {
    const { workspace, offset } = atCursor(text.replace(at.replace('‸', ''), at));
    expect(hoverAt(workspace, MAIN, offset, [])?.text).toEqual(
      typeof said === 'string' ? said : expect.stringMatching(said),
    );
  });

  it('says of every type of a param what it holds', () => {
    const said = [...PARAM_TYPES.keys()].map((type) => {
      const { workspace, offset } = atCursor(`param x: ‸${type} = 1`);
      return hoverAt(workspace, MAIN, offset, [])?.text;
    });
    expect(said).toEqual(
      [...PARAM_TYPES.keys()].map(
        (type) => expect.stringMatching(`^\\*\\*${type}\\*\\*: [A-Z\`].*\\.$`) as string,
      ),
    );
    expect(said).toContain('**time**: Time (such as `15 us`).');
  });

  it('says nothing of white space', () => {
    expect(hover(`${PLAN}\n‸\n`)).toBe('');
  });
});

describe('inlay hints', () => {
  it('say per line what it came to, and what the first workload does', () => {
    const [checked, compiled, simulated] = analysed(PLAN);
    expect([checked!.rung, compiled!.rung, simulated!.rung]).toEqual(['checked', 'compiled', 'simulated']);
    const { workspace, text } = atCursor(PLAN);
    const document = workspace.document(MAIN)!;
    const everywhere = { start: { line: 0, character: 0 }, end: { line: 99, character: 0 } };
    const lines = text.split('\n');
    const hints = hintsOf(document, simulated!.notes, everywhere).map(({ position, label }) => {
      expect(position.character).toBe(lines[position.line]!.length);
      return `${lines[position.line]!.trim()} // ${label as string}`;
    });
    const has = (pattern: RegExp): void => expect(hints).toContainEqual(expect.stringMatching(pattern));
    has(
      /^mesh \(tp: 4, dp: 2\) \/\/ weights [\d.]+ [KM]i?B, KV room [\d,]+ tokens, heads 2, kv_heads 1, ffn 384 a rank, 2 collectives a layer, /,
    );
    has(/^stage prefill .* \/\/ weights .*KV room/);
    has(/^flow .* \/\/ .*prefill -> decode moves .* of weights in .*KV .* a token through host/);
    has(/^plan p for small on box \{ \/\/ [\d.]+ requests\/s predicted for some/);
    const first = { start: { line: 0, character: 0 }, end: { line: 2, character: 0 } };
    expect(hintsOf(document, simulated!.notes, first)).toEqual([]);
  });

  it('say which mesh was taken where nobody wrote one', () => {
    const text = PLAN.replace('mesh (tp: 4, dp: 2)', 'mesh auto');
    expect(text).not.toBe(PLAN);
    const { notes } = analysed(text)[1]!;
    const { text: hint, detail } = notes.find((note) => text.startsWith('auto', note.at.span.end - 4))!;
    expect(hint).toMatch(/^mesh \((dp|pp|tp): .*\), weights /);
    expect(detail).toMatch(/^mesh \(.*\): \S/m);
  });

  it('name their plans where several share a line', () => {
    const text = `${PLAN}plan q from p { memory_use: 50% }\n`;
    const notes = analysed(text)[1]!.notes.map((note) => note.text);
    expect(notes).toContainEqual(expect.stringMatching(/^p: weights/));
    expect(notes).toContainEqual(expect.stringMatching(/^q: weights/));
  });
});

describe('diagnostics', () => {
  it('carry their page, related places and fixes', () => {
    const text = PLAN.replace('batch: 64', 'batsh: 64').replace(
      'flow requests',
      'kv { page: 16 tokens }\n  kv { }\n  flow requests',
    );
    const { diagnostics, files } = analysed(text)[0]!;
    const context = {
      files,
      uriOf: (path: string) => `file://${path}`,
      pageOf: (code: string) => `page:${code}`,
    };
    const found = diagnosticsByFile(diagnostics, MAIN, context).get(MAIN)!;
    const unknown = found.find(({ code }) => code === 'FC0301')!;
    expect(unknown).toMatchObject({
      severity: 1,
      source: 'fulcrum',
      codeDescription: { href: 'page:FC0301' },
    });
    const now = {
      textNow: () => text as string | undefined,
      toWorkspaceEdit: (changes: EditsByUri) => ({ changes }),
    };
    const actions = (diagnostic: LspDiagnostic, only?: string[], textNow = now.textNow) =>
      codeActions({ diagnostics: [diagnostic], ...(only && { only }) }, { ...now, textNow });
    const [action] = actions(unknown);
    expect(action).toMatchObject({ title: 'Change to `batch`', kind: 'quickfix', isPreferred: true });
    expect(action!.edit!.changes![`file://${MAIN}`]).toMatchObject([
      { newText: 'batch', range: unknown.range },
    ]);
    const double = found.find(({ code }) => code === 'FC0709')!;
    expect(double.relatedInformation).toMatchObject([{ location: { uri: `file://${MAIN}` } }]);
    expect(actions(double)).toMatchObject([{ title: 'Remove this block' }]);
    expect(actions({ ...double, data: undefined })).toEqual([]);
    // Only of the kinds that are asked for, and of the text that they were made for.
    for (const only of [['quickfix'], [''], ['refactor', 'quickfix'], []])
      expect(actions(unknown, only)).toHaveLength(1);
    for (const only of [['source.organizeImports'], ['refactor']]) expect(actions(unknown, only)).toEqual([]);
    expect(actions(unknown, undefined, () => `\n${text}`)).toEqual([]);
    expect(actions(unknown, undefined, () => undefined)).toEqual([]);
  });
});

describe('edits of documents', () => {
  it('say which versions they are of where the editor knows versions', () => {
    const edits = { 'file:///a.plan': [], 'file:///b.plan': [] };
    const versionOf = (uri: string): number | undefined => (uri === 'file:///a.plan' ? 3 : undefined);
    expect(workspaceEdit(edits, false, versionOf)).toEqual({ changes: edits });
    expect(workspaceEdit(edits, true, versionOf)).toEqual({
      documentChanges: [
        { textDocument: { uri: 'file:///a.plan', version: 3 }, edits: [] },
        { textDocument: { uri: 'file:///b.plan', version: null }, edits: [] },
      ],
    });
  });
});

describe('the outline', () => {
  it('has declarations inside each other', () => {
    const { workspace } = atCursor(PLAN);
    const outline = outlineOf(workspace.document(MAIN)!);
    expect(outline.map(({ name }) => name)).toEqual(['box', 'card', 'small', 'some', 'p']);
    expect(outline[0]!.children!.map(({ name }) => name)).toEqual(['gpu', 'host']);
    expect(outline.at(-1)!.children!.map(({ name }) => name)).toEqual(['prefill', 'decode', 'flow']);
    for (const { range, selectionRange } of outline) {
      expect(selectionRange.start.line).toBeGreaterThanOrEqual(range.start.line);
      expect(selectionRange.end.line).toBeLessThanOrEqual(range.end.line);
    }
  });
});

describe('folds', () => {
  it('are blocks, imports and comments of several lines', () => {
    const text = `import { l4 } from "std/aws"\nimport { h100 } from "std/devices"\n// one\n// two\ndevice d {\n  memory: 1 GB\n}\ndevice e { }\n`;
    const { workspace } = atCursor(text);
    expect(foldsOf(workspace.document(MAIN)!)).toEqual([
      { startLine: 4, endLine: 5 },
      { startLine: 2, endLine: 3, kind: 'comment' },
      { startLine: 0, endLine: 1, kind: 'imports' },
    ]);
  });
});

describe('semantic tokens', () => {
  it.each(['\n', '\r\n', '\r'])('stay on their lines, which end in %j', (end) => {
    const { workspace } = atCursor(['/* a', '', '  b */ language 1', ''].join(end));
    const data = semanticTokens(workspace, workspace.document(MAIN)!);
    const tokens = Array.from({ length: data.length / 5 }, (_, i) => data.slice(5 * i, 5 * i + 3));
    expect(tokens).toEqual([
      [0, 0, 4],
      [2, 0, 6],
      [0, 7, 8],
      [0, 9, 1],
    ]);
  });

  it('say what words are, by what they stand for', () => {
    const { workspace, text } = atCursor(PLAN);
    const document = workspace.document(MAIN)!;
    const data = semanticTokens(workspace, document);
    const lines = text.split('\n');
    const found: string[] = [];
    let [line, character] = [0, 0];
    for (let at = 0; at < data.length; at += 5) {
      const [down, across, length, type] = data.slice(at, at + 4) as [number, number, number, number];
      [line, character] = down === 0 ? [line, character + across] : [line + down, across];
      found.push(`${lines[line]!.slice(character, character + length)} ${TOKEN_TYPES[type]}`);
    }
    for (const wanted of [
      'topology keyword',
      'box namespace',
      'card class',
      'small struct',
      'prefill method',
      'gpu property',
      'batch property',
      '64 number',
      'requests type',
      'f16 enumMember',
      'some event',
      '/// A card. comment',
    ])
      expect(found).toContain(wanted);
    const words = text.match(/\w+/g)!.length;
    expect(found.length).toBeGreaterThan(words / 2);
  });
});

describe('signature help', () => {
  it.each([
    ['expect { peak(‸', 'peak(STAGE, DEVICES)', 0],
    ['expect { peak(decode, ‸', 'peak(STAGE, DEVICES)', 1],
    ['stage serve on gpu { mesh (tp: 4, ‸', 'mesh (dp: SIZE, pp: SIZE, tp: SIZE)', 1],
  ])('%s', (body, label, active) => {
    const { workspace, offset } = atCursor(`${WORLD}plan p for small on box {\n${body}`);
    expect(signatureAt(workspace, MAIN, offset)).toMatchObject({
      signatures: [{ label }],
      activeParameter: active,
    });
  });

  it('is silent elsewhere', () => {
    const { workspace, offset } = atCursor(`${WORLD}plan p for ‸`);
    expect(signatureAt(workspace, MAIN, offset)).toBeUndefined();
  });
});

describe('changes of a text', () => {
  it('apply one after the other', () => {
    const at = (line: number, from: number, to: number) => ({
      start: { line, character: from },
      end: { line, character: to },
    });
    const after = applyChanges('ab\ncd\n', [
      { range: at(0, 1, 2), text: 'x\ny' },
      { range: at(1, 0, 1), text: 'Y' },
      { range: at(2, 2, 2), text: '!' },
    ]);
    expect(after).toBe('ax\nY\ncd!\n');
    expect(applyChanges('a', [{ text: 'all new' }])).toBe('all new');
  });
});
