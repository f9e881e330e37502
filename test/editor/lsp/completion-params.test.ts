/** Params at places of values: those are offered that the checker takes there. */
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { PARAM_TYPES } from '../../../compiler/check/param-types.js';
import { completionsAt } from '../../../editor/lsp/completion.js';
import { exampleOf, PROPERTIES, type PropertyDoc } from '../../../grammar/reference.js';
import { memoryHost } from '../../compiler/check/memory-host.js';
import { atCursor, MAIN, WORLD } from './support.js';

/** A value of every type of param. Names and strings have none that every property knows. */
const VALUES: Readonly<Record<string, string>> = {
  int: '2',
  number: '2',
  bytes: '2 GB',
  time: '2 us',
  rate: '2 GB/s',
  tokens: '2 tokens',
  requests: '2 requests',
  fraction: '50%',
  string: '"./a"',
  bool: 'true',
  name: 'f16',
};
const PARAMS = Object.entries(VALUES)
  .map(([type, value]) => `param a_${type}: ${type} = ${value}\n`)
  .join('');

/** A file with a block of each kind that has a value at a place `‸` of its own. */
const BLOCKS: Readonly<Record<keyof typeof PROPERTIES, (body: string) => string>> = {
  device: (body) => `device d { ${body} }`,
  tier: (body) => `topology t { gpu[2]: card, tier host { ${body} } }`,
  link: (body) => `topology t { gpu[2]: card\n link gpu <-> gpu { ${body} } }`,
  overhead: (body) => `topology t { gpu[2]: card\n overhead { ${body} } }`,
  model: (body) => `model m { ${body} }`,
  workload: (body) => `workload w { ${body} }`,
  plan: (body) => `plan p for small on box { stage serve: prefill + decode on gpu { }\n${body} }`,
  stage: (body) => `plan p for small on box { stage serve: prefill + decode on gpu { ${body} } }`,
  kv: (body) => `plan p for small on box { stage serve: prefill + decode on gpu { }\n kv { ${body} } }`,
};

const properties = Object.entries(PROPERTIES).flatMap(([block, table]) =>
  Object.entries<PropertyDoc>(table).flatMap(([name, { value }]) => {
    if (value.kind === 'tiers') return [];
    const inBlock = BLOCKS[block as keyof typeof PROPERTIES];
    const key = /^\{ (\w+):/.exec(exampleOf(value))?.[1];
    const text = value.kind === 'record' ? `${name}: { ${key}: ‸ }` : `${name}: ‸`;
    return [[`${block}.${name}`, `${PARAMS}${WORLD}${inBlock(text)}`] as const];
  }),
);
const others = [
  ['a size of a mesh', BLOCKS.stage('mesh (tp: ‸)')],
  [
    'a length of a distribution',
    BLOCKS.workload('requests: 2, prompt: normal(‸, 1 tokens), output: 2 tokens'),
  ],
  [
    'a fraction of a tier',
    BLOCKS.plan('flow requests -> serve -> results { to serve when host.used < ‸ }').replace(
      'gpu { }',
      'gpu { mesh (tp: 4, dp: 2) }',
    ),
  ],
  ['a cap of a tier', BLOCKS.kv('tiers: gpu -> host up to ‸')],
  ['an index', BLOCKS.stage('').replace('on gpu', 'on gpu[‸]')],
].map(([name, text]) => [name!, `${PARAMS}${WORLD}${text!}`] as const);

/** What says that a value is of the wrong type, whatever else is wrong with it. */
const WRONG_TYPE = ['wrong-type', 'unit-mismatch', 'unknown-value', 'unknown-name'];

function taken(marked: string, param: string): boolean {
  const text = marked.replace('‸', param);
  const start = marked.indexOf('‸');
  const { diagnostics } = checkFile(memoryHost({ [MAIN]: text }), MAIN);
  return !diagnostics.some(({ slug, primary }) => WRONG_TYPE.includes(slug) && primary?.span.start === start);
}

describe('params at a place', () => {
  it('are of all types here', () => {
    expect(Object.keys(VALUES)).toEqual([...PARAM_TYPES.keys()]);
  });

  it.each([...properties, ...others])('of %s are those that it takes', (_, marked) => {
    const { workspace, offset } = atCursor(marked);
    const offered = completionsAt(workspace, MAIN, offset).map(({ label }) => label);
    // Whether a property knows a word is a matter of the word.
    const types = Object.keys(VALUES).filter((type) => type !== 'name');
    expect(types.filter((type) => offered.includes(`a_${type}`))).toEqual(
      types.filter((type) => taken(marked, `a_${type}`)),
    );
  });
});
