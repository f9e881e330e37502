/** docs/runtime-graph.md says of every optional field of a graph what its absence means. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { runtimeGraphSchema } from '../../compiler/ir/runtime-schema.js';
import { ROOT } from './source-files.js';

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/** Paths of the fields that may be absent: `pools[].within`. Those of a model's shape count as one. */
function optionalFields(schema: JsonSchema, at = ''): readonly string[] {
  const { properties = {}, required = [], items, anyOf = [], oneOf = [] } = schema;
  const fields = Object.entries(properties).flatMap(([key, inner]) => {
    const path = at === '' ? key : `${at}.${key}`;
    return [...(required.includes(key) ? [] : [path]), ...optionalFields(inner, path)];
  });
  const parts = [...anyOf, ...oneOf].flatMap((each) => optionalFields(each, at));
  const inItems = items === undefined ? [] : optionalFields(items, `${at}[]`);
  return [...new Set([...fields, ...parts, ...inItems].map((path) => path.replace(/(shape)\..*/, '$1.*')))];
}

it('lists the optional fields of a runtime graph', () => {
  const text = readFileSync(join(ROOT, 'docs/runtime-graph.md'), 'utf8');
  const table = text.slice(text.indexOf('| optional field'), text.indexOf('## Stages and ranks'));
  const listed = table.split('\n').flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)]);
  const schema = z.toJSONSchema(runtimeGraphSchema, { io: 'input' }) as JsonSchema;
  expect(listed.map(([, path]) => path).sort()).toEqual([...optionalFields(schema)].sort());
});
