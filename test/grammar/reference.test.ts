/** The reference data for editors says what the parser and the checker know, no more and no less. */
import { describe, expect, it } from 'vitest';
import { DEVICE_TABLE, SPEEDS } from '../../compiler/check/check-device.js';
import { MODEL_TABLE } from '../../compiler/check/check-model.js';
import { LINK_TABLE } from '../../compiler/check/check-link.js';
import { OVERHEAD_TABLE, TIER_TABLE } from '../../compiler/check/check-topology.js';
import { WORKLOAD_TABLE } from '../../compiler/check/check-workload.js';
import { PLAN_TABLE } from '../../compiler/check/plan/check-plan.js';
import { KV_TABLE } from '../../compiler/check/plan/kv.js';
import { STAGE_TABLE } from '../../compiler/check/plan/stages.js';
import type { PropertyTable } from '../../compiler/check/properties.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { UNITS } from '../../compiler/check/units.js';
import { MODEL_FAMILIES } from '../../compiler/model/families.js';
import { PLAN_WEIGHT_TYPES } from '../../compiler/model/weight-types.js';
import { places } from '../../grammar/build-members.js';
import { parse } from '../../grammar/parse.js';
import { ITEMS } from '../../grammar/reference-words.js';
import { PROPERTIES, type PropertyDoc } from '../../grammar/reference.js';
import { REACHING_KERNELS } from '../../compiler/cost/kernel-work.js';
import { checkText } from '../compiler/check/memory-host.js';

const TABLES: Readonly<Record<keyof typeof PROPERTIES, PropertyTable>> = {
  device: DEVICE_TABLE,
  tier: TIER_TABLE,
  link: LINK_TABLE,
  overhead: OVERHEAD_TABLE,
  model: MODEL_TABLE,
  workload: WORKLOAD_TABLE,
  plan: PLAN_TABLE,
  stage: STAGE_TABLE,
  kv: KV_TABLE,
};

/** A plan over every kind of block, with one more property in some. */
function world(more: Readonly<Record<string, string>>): string {
  const of = (block: string): string => more[block] ?? '';
  return `device d { memory: 80 GB, bandwidth: 1 TB/s, compute: { f16: 100 TFLOPS }\n${of('device')} }
topology t {
  gpu[2]: d
  tier host { capacity: 64 GB\n${of('tier')} }
  link gpu <-> gpu { bandwidth: 10 GB/s\n${of('link')} }
  link gpu <-> host { bandwidth: 10 GB/s }
  overhead { ${of('overhead')} }
}
model m { layers: 8, hidden: 512, heads: 8, ffn: 1536, vocab: 1000, context: 4096\n${of('model')} }
workload w { requests: 4, prompt: 8 tokens, output: 4 tokens\n${of('workload')} }
plan p for m on t {
  stage prefill on gpu { mesh (pp: 2)\n${of('stage')} }
  stage decode on gpu { mesh (tp: 2) }
  kv { ${of('kv')} }
  ${of('plan')}
}`;
}

/** What was decided about a plan, without where it was written or that it was a default. */
function decided(plan: Plan): string {
  return JSON.stringify(plan, (key, value: unknown) =>
    /origins?$/i.test(key) || ['defaults', 'assumed'].includes(key) ? undefined : value,
  );
}

const blocks = Object.entries(PROPERTIES) as [
  keyof typeof PROPERTIES,
  Readonly<Record<string, PropertyDoc>>,
][];

describe('properties', () => {
  it.each(blocks)('of a %s are those of the checker', (block, docs) => {
    expect(Object.keys(docs).sort()).toEqual(Object.keys(TABLES[block]).sort());
    for (const [name, { fallback }] of Object.entries(docs))
      if (TABLES[block][name]!.required) expect(fallback, name).toBe('required');
  });

  it('of kernels and types are those that a device may say something of', () => {
    const { value } = PROPERTIES.device.kernels;
    expect([...value.keys].sort()).toEqual([...REACHING_KERNELS].sort());
    expect(PROPERTIES.device.compute.value.keys).toEqual(SPEEDS);
  });

  it('have the defaults that the checker takes: written out they change nothing', () => {
    let compared = 0;
    for (const [block, docs] of blocks)
      for (const [name, { standard }] of Object.entries(docs)) {
        if (standard === undefined) continue;
        compared++;
        const [without, written] = ['', `${name}: ${standard}`].map((property) => {
          const { plans, diagnostics } = checkText(world({ [block]: property }));
          expect(
            diagnostics.map(({ message }) => message),
            `${block}.${name}`,
          ).toEqual([]);
          return decided(plans[0]!);
        });
        expect(written, `${block}.${name}`).toBe(without);
      }
    expect(compared).toBeGreaterThan(11);
  });

  it('take the values that stand as examples', () => {
    for (const [block, docs] of blocks) {
      if (!['device', 'model', 'workload'].includes(block)) continue;
      for (const [name, { value }] of Object.entries(docs)) {
        const example = value.kind === 'words' ? value.words[0]! : value.example;
        const { diagnostics } = checkText(`${block} x { ${name}: ${example} }`);
        const wrong = diagnostics.filter(
          ({ slug }) => !['missing-property', 'model-unreadable', 'bad-shape'].includes(slug),
        );
        expect(
          wrong.map(({ message }) => message),
          `${block}.${name}`,
        ).toEqual([]);
      }
    }
  });

  it('have units and words that exist', () => {
    for (const [, docs] of blocks)
      for (const { value } of Object.values(docs))
        if (value.kind === 'quantity' || value.kind === 'record')
          for (const unit of value.units) expect(UNITS.has(unit), unit).toBe(true);
    expect(PROPERTIES.model.weights.value).toMatchObject({ words: PLAN_WEIGHT_TYPES });
    expect(PROPERTIES.model.family.value).toMatchObject({ words: MODEL_FAMILIES.map(({ name }) => name) });
  });
});

describe('items', () => {
  it.each(Object.entries(places).filter(([, { keywords }]) => keywords.length > 0))(
    'of %s are the keywords of the parser',
    (place, { keywords }) => {
      expect(Object.keys(ITEMS[place]!)).toEqual(expect.arrayContaining([...keywords]));
    },
  );

  it('have snippets that parse', () => {
    const filled = (snippet: string): string =>
      snippet.replace(/\$\{\d+:([^}]*)\}/g, '$1').replace(/\$\d/g, '');
    const around: Readonly<Record<string, (text: string) => string>> = {
      file: (text) => text,
      topology: (text) => `topology t {\n${text}\n}`,
      plan: (text) => `plan p for m on t {\n${text}\n}`,
      stage: (text) => `plan p for m on t { stage s on gpu {\n${text}\n} }`,
      override: (text) => `plan p for m on t { stage s on gpu { override layers[0] {\n${text}\n} } }`,
      flow: (text) => `plan p for m on t { flow requests -> s -> results {\n${text}\n} }`,
      expect: (text) => `plan p for m on t { expect {\n${text}\n} }`,
    };
    for (const [place, items] of Object.entries(ITEMS))
      for (const [word, { snippet }] of Object.entries(items)) {
        const { errors } = parse(around[place]!(filled(snippet)), 'x');
        expect(
          errors.map(({ message }) => message),
          `${place}: ${word}`,
        ).toEqual([]);
      }
  });
});
