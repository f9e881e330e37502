/**
 * Diagnostics as SARIF 2.1.0 (OASIS), the format that code hosts and review tools read. Warnings that a file allows
 * are in it too, each with its reason as a suppression.
 */
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AllowedDiagnostic } from '../compiler/check/allowances.js';
import type { Diagnostic, Origin } from '../compiler/diagnostics/diagnostic.js';
import { lineMap } from '../grammar/line-map.js';
import { findCode } from './explain/codes.js';
import { VERSION } from './package-root.js';
import type { RenderOptions } from './render-diagnostics.js';

const SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json';

export interface CheckedForSarif {
  readonly diagnostics: readonly Diagnostic[];
  readonly allowed: readonly AllowedDiagnostic[];
  readonly render: RenderOptions;
}

/** One log with one run over all files; a plain JSON value. */
export function sarifLog(files: readonly CheckedForSarif[]): object {
  const codes = [
    ...new Set(
      files.flatMap(({ diagnostics, allowed }) =>
        [...diagnostics, ...allowed.map(({ diagnostic }) => diagnostic)].map(({ code }) => code),
      ),
    ),
  ].sort();
  const rules = codes.map((code) => {
    const known = findCode(code)!;
    return {
      id: code,
      name: known.slug,
      shortDescription: { text: known.message },
      fullDescription: { text: known.field },
      help: { text: `fulcrum explain ${code}` },
    };
  });
  const results = files.flatMap(({ diagnostics, allowed, render }) => [
    ...diagnostics.map((diagnostic) => sarifResult(diagnostic, codes, render)),
    ...allowed.map(({ diagnostic, by }) => ({
      ...sarifResult(diagnostic, codes, render),
      suppressions: [{ kind: 'inSource', justification: by.reason }],
    })),
  ]);
  const driver = { name: 'fulcrum', version: VERSION, rules };
  return {
    $schema: SCHEMA,
    version: '2.1.0',
    runs: [{ tool: { driver }, columnKind: 'utf16CodeUnits', results }],
  };
}

function sarifResult(diagnostic: Diagnostic, codes: readonly string[], render: RenderOptions): object {
  const { code, severity, message, primary, related, notes, helps, fixes, data } = diagnostic;
  const place = (origin: Origin): object => ({ physicalLocation: physical(origin, render) });
  return {
    ruleId: code,
    ruleIndex: codes.indexOf(code),
    level: severity,
    message: { text: [message, ...notes, ...helps.map((help) => `help: ${help}`)].join('\n') },
    locations: primary === undefined ? [] : [place(primary)],
    ...(related.length > 0 && {
      relatedLocations: related.map((origin, id) => ({
        id,
        ...place(origin),
        message: { text: origin.label },
      })),
    }),
    ...(fixes.length > 0 && {
      fixes: fixes.map(({ title, edits }) => ({
        description: { text: title },
        artifactChanges: edits.map(({ origin, newText }) => {
          const { artifactLocation, region } = physical(origin, render);
          return {
            artifactLocation,
            replacements: [{ deletedRegion: region, insertedContent: { text: newText } }],
          };
        }),
      })),
    }),
    properties: { facts: data },
  };
}

interface PhysicalLocation {
  readonly artifactLocation: { readonly uri: string };
  readonly region: object;
}

/** Readers take relative names from the root of a repository, which a name that climbs leaves. */
function isOutside(name: string): boolean {
  return isAbsolute(name) || /^\.\.[\\/]/.test(name);
}

function physical({ file, span }: Origin, { nameOf, textOf }: RenderOptions): PhysicalLocation {
  const name = nameOf(file);
  const map = lineMap(textOf(file) ?? '');
  const [start, end] = [map.position(span.start), map.position(span.end)];
  return {
    artifactLocation: {
      uri: isOutside(name) ? pathToFileURL(resolve(name)).href : encodeURI(name.replaceAll('\\', '/')),
    },
    region: {
      startLine: start.line,
      startColumn: start.column,
      endLine: end.line,
      endColumn: end.column,
    },
  };
}
