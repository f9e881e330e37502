import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadGraph } from '../../../cli/load-graph.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import { parseRuntimeGraph, serialiseRuntimeGraph } from '../../../compiler/ir/runtime-json.js';
import { batchIdentity } from '../../../runtime/jobs/batch-identity.js';
import { identityDifferences } from '../../../runtime/jobs/journal-format.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-identity-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const model = join(scratch, 'models', 'clerk');
cpSync('plans/models/clerk', model, { recursive: true });
const requests = join(scratch, 'requests.jsonl');
writeFileSync(requests, '{}\n');
const source = readFileSync('plans/clerk.plan', 'utf8');
let files = 0;

function graphOf(text: string, plan: string): RuntimeGraph {
  const path = join(scratch, `p${files++}.plan`);
  writeFileSync(path, text);
  let said = '';
  const write = (piece: string): void => void (said += piece);
  const terminal = { writeOut: write, writeErr: write, colour: false, interactive: false, columns: 80 };
  const loaded = loadGraph(path, { plan }, terminal);
  if (loaded.kind === 'failed') throw new Error(said);
  return loaded.graph;
}

/** Names of what differs between a plan of the demo and an edited one. */
function changedBy(plan: string, edit: (text: string) => string, editedPlan = plan): string[] {
  const edited = edit(source);
  const identityOf = (text: string, name: string) =>
    batchIdentity({ graph: graphOf(text, name), requestsPath: requests });
  return identityDifferences(identityOf(source, plan), identityOf(edited, editedPlan)).map(
    ({ name }) => name,
  );
}

describe('the identity of a batch', () => {
  it('leaves out names, layout and what only decides speed', () => {
    expect(
      changedBy(
        'reshard',
        (text) =>
          `// More above.\n\n${text}`
            .replace('plan reshard', 'plan other')
            .replaceAll('from reshard', 'from other')
            .replace('microbatch: 512', 'microbatch: 128')
            .replace('batch: 64', 'batch: 16')
            .replace('residence: switch', ''),
        'other',
      ),
    ).toEqual([]);
    const graph = graphOf(source, 'split');
    const written = parseRuntimeGraph(JSON.parse(serialiseRuntimeGraph(graph))).graph!;
    const identity = (of: RuntimeGraph) => batchIdentity({ graph: of, requestsPath: requests });
    expect(identity(written)).toEqual(identity(graph));
  });

  it('counts meshes and element types', () => {
    expect(
      changedBy('reshard', (text) => text.replace('mesh (tp: 4), batch', 'mesh (pp: 2, tp: 2), batch')),
    ).toEqual(['stages', 'kernels']);
    expect(changedBy('reshard', (text) => text.replace('weights: f32', 'weights: bf16'))).toEqual(
      expect.arrayContaining(['weight type', 'kernels']),
    );
    expect(changedBy('reshard', (text) => text, 'pipeline')).toEqual(['stages', 'kernels']);
  });

  it('names another page size by its name, and by that alone', () => {
    expect(changedBy('reshard', (text) => text.replace('page: 16', 'page: 8'))).toEqual(['page size']);
  });

  it('counts the files of the model and the requests, each by its name', () => {
    const graph = graphOf(source, 'single');
    const identity = (modelDirectory?: string, path = requests) =>
      batchIdentity({
        graph,
        requestsPath: path,
        ...(modelDirectory === undefined ? {} : { modelDirectory }),
      });
    const copy = join(scratch, 'copy');
    cpSync(model, copy, { recursive: true });
    const changed = () => identityDifferences(identity(), identity(copy)).map(({ name }) => name);
    expect(changed()).toEqual([]);
    const change = (file: string, edit: (bytes: Buffer) => Buffer, names: readonly string[]): void => {
      const path = join(copy, file);
      const before = readFileSync(path);
      writeFileSync(path, edit(Buffer.from(before)));
      expect(changed()).toEqual(names);
      writeFileSync(path, before);
    };
    const flipLast = (bytes: Buffer): Buffer => {
      bytes[bytes.length - 1]! ^= 1;
      return bytes;
    };
    const addSpace = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.from(' ')]);
    change('model.safetensors', flipLast, ['weights']);
    change('config.json', addSpace, ['config']);
    change('tokenizer_config.json', addSpace, ['tokenizer']);
    const other = join(scratch, 'other.jsonl');
    writeFileSync(other, '{ }\n');
    expect(identityDifferences(identity(), identity(undefined, other))).toEqual([
      {
        name: 'requests',
        before: expect.stringMatching(/^3 bytes, sha256 /) as unknown,
        now: expect.stringMatching(/^4 bytes/) as unknown,
      },
    ]);
  });
});
