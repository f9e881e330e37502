/** Of `CASES` those of properties, types and units. */
import type { Case } from './case.js';
import { clerkConfig } from './memory-host.js';
import { fused, WORLD } from './marked.js';

const manyParams = Array.from(
  { length: 9 },
  (_, i) => `param ${i === 0 ? '«a0»' : `a${i}`}: int = 1 in [1, 2]`,
).join('\n');

const qwenWith = (fields: object): Readonly<Record<string, unknown>> => ({
  m: { ...clerkConfig, ...fields },
});

const BEGINS_ALIKE =
  'workload w { requests: 8, prompt: 100 tokens, output: 10 tokens, prefix: «128 tokens» }';

export const PROPERTY_CASES: readonly Case[] = [
  { slug: 'unknown-property', source: `device d { «memry»: 1 GB }`, says: '`memory`' },
  { slug: 'unknown-property', source: fused('mesh (dp: 8)\n«batsh»: 3 requests'), says: '`batch`' },
  { slug: 'unknown-property', source: fused('mesh (dp: 8)', 'kv { «pages»: 16 tokens }'), says: '`page`' },
  { slug: 'unknown-property', source: fused('mesh (dp: 8)', '«memory»: 80%') },
  {
    slug: 'unknown-property',
    source: `${WORLD}topology u { gpu[2]: d\n overhead { «stap»: 1 ms } }`,
    says: 'an overhead has no property',
  },
  ...['prompt', 'output', 'prefix'].map((property): Case => ({
    slug: 'unknown-property',
    source: `workload w { requests: "lengths.jsonl", «${property}»: 10 tokens }`,
    says: `${property}_tokens`,
  })),
  {
    slug: 'duplicate-property',
    source: `device d { memory: 1 GB, «memory»: 2 GB, bandwidth: 1 GB/s, compute: { f32: 1 TFLOPS } }`,
  },
  {
    slug: 'missing-property',
    source: `device «d» { memory: 1 GB, compute: { f32: 1 TFLOPS } }`,
    says: 'device `d` needs `bandwidth`',
  },
  { slug: 'missing-property', source: `${WORLD}topology u { gpu[2]: d\n link «gpu <-> gpu» { } }` },
  { slug: 'missing-property', source: `model «m» { layers: 3, hidden: 8, heads: 2, ffn: 8, vocab: 9 }` },
  {
    slug: 'wrong-type',
    source: `topology t { tier disk { capacity: 1 TB, path: «""» } }`,
    says: 'takes a directory',
  },
  { slug: 'wrong-type', source: `device d { memory: «"24 GB"» }`, says: 'not a string' },
  { slug: 'wrong-type', source: fused('mesh (dp: 8)', 'kv { tiers: «[gpu]» }'), says: 'a list' },
  {
    slug: 'wrong-type',
    source: `device d { memory: 24 GB, bandwidth: 1 GB/s, compute: «{ }» }`,
    says: 'an empty one',
  },
  { slug: 'wrong-type', source: `device d { compute: { «fp16»: 1 TFLOPS } }`, says: 'did you mean `f16`?' },
  { slug: 'wrong-type', source: `device d { kernels: { «rmsnorm»: 40% } }`, says: '`rms_norm`' },
  { slug: 'wrong-type', source: `device d { kernels: { «matmul»: 40% } }`, says: '`decode_attention`' },
  ...['sustained', 'gemm', 'kernels', 'shared', 'shared_host'].map((property): Case => ({
    slug: 'wrong-type',
    source: `device d { ${property}: «{}» }`,
    says: 'an empty one',
  })),
  ...['allreduce', 'allreduce_latency', 'allgather_latency'].map((property): Case => ({
    slug: 'wrong-type',
    source: WORLD.replace('10 GB/s }', `10 GB/s, ${property}: «{}» }`),
    says: 'an empty one',
  })),
  ...['submit', 'read'].map((property): Case => ({
    slug: 'wrong-type',
    source: `topology t { overhead { ${property}: «{}» } }`,
    says: 'an empty one',
  })),
  { slug: 'wrong-type', source: `device d { gemm: { «064»: 9% } }`, says: 'not `064`' },
  {
    slug: 'duplicate-property',
    source: `device d { gemm: { 1024: 9%, «1_024»: 10% } }`,
    says: '`1_024` is given twice',
  },
  { slug: 'wrong-type', source: `device d { gemm: { «0»: 9% } }`, says: 'whole numbers from 1 on' },
  { slug: 'wrong-type', source: `device d { gemm: { «-64»: 9%, 64: 10% } }`, says: 'not `-64`' },
  { slug: 'wrong-type', source: `device d { shared: { «1»: 60% } }`, says: 'whole numbers from 2 on' },
  {
    slug: 'wrong-type',
    source: WORLD.replace('10 GB/s }', '10 GB/s, allreduce: { «1»: 18 GB/s } }'),
    says: 'whole numbers from 2 on',
  },
  {
    slug: 'wrong-type',
    source: `topology t { overhead { copy_engines: «yes» } }`,
    says: '`true` or `false`',
  },
  { slug: 'unknown-name', source: `device d { memory: «NaN» }`, says: 'param NaN: bytes = 24 GiB' },
  { slug: 'unit-mismatch', source: `device d { bandwidth: «300 GB» }`, says: 'bytes per second' },
  { slug: 'unit-mismatch', source: `device d { memory: «24» }`, says: 'such as `24 GiB`' },
  { slug: 'unknown-unit', source: `device d { memory: 24 «Gib» }`, says: '`GiB`' },
  { slug: 'unknown-unit', source: `device d { memory: 24 «apples» }`, says: '`TiB` (units)' },
  { slug: 'unknown-unit', source: `device d { bandwidth: 24 «min» }`, says: '`TiB/s` (units)' },
  {
    slug: 'unknown-unit',
    source: `model m { layers: 2 «apples», hidden: 4 }`,
    says: 'a plain number is needed',
  },
  { slug: 'unknown-unit', source: `param n: int = 24 «apples»`, says: 'a plain number is needed' },
  { slug: 'unknown-unit', source: `topology t { overhead { step: 1.5 «min» } }`, says: '`90 s`' },
  { slug: 'out-of-range', source: fused('mesh (tp: «0»)'), says: 'at least 1' },
  { slug: 'out-of-range', source: fused('mesh (dp: 8)', 'memory_use: «120%»'), says: '120%' },
  {
    slug: 'out-of-range',
    source: `model m { layers: «99_999_999_999», hidden: 8, heads: 1, ffn: 8, vocab: 8, context: 8 }`,
    says: 'at most 10000',
  },
  {
    slug: 'out-of-range',
    source: WORLD.replace('compute: {', 'shared: «{ 2: 30%, 4: 60% }», compute: {'),
    says: '`4` of `shared` is 60%',
  },
  {
    slug: 'out-of-range',
    source: WORLD.replace('compute: {', 'shared: { 2: 60% }, shared_host: «{ 4: 90%, 2: 50% }», compute: {'),
    says: '`4` of `shared_host` is 90%',
  },
  {
    slug: 'missing-property',
    source: WORLD.replace('compute: {', 'shared_host: «{ 2: 50% }», compute: {'),
    says: 'device `d` needs `shared`',
  },
  {
    slug: 'out-of-range',
    source: `topology t { overhead { submit: { 1: 20 us }, encode: «1 s» } }`,
    says: '`submit`, 20 us',
  },
  {
    slug: 'missing-property',
    source: `topology t { overhead { encode: «9 us» } }`,
    says: 'overhead needs `submit`',
  },
  { slug: 'out-of-range', source: `${WORLD}topology u { «gpu»[1_000_000]: d }` },
  { slug: 'outside-domain', source: `param a: int = «3» in [1, 2]`, says: '1, 2' },
  {
    slug: 'outside-domain',
    source: `param «a»: int = 1 in [1, 2]`,
    set: { a: '3' },
    says: '`a` = 3 is not one of its values 1, 2',
  },
  { slug: 'unknown-param-type', source: `param a: «itn» = 1`, says: '`int`' },
  { slug: 'unknown-param', source: `param a: int = 1`, set: { b: '1' }, says: 'params here: a' },
  { slug: 'too-many-values', source: manyParams, says: '512 combinations' },
  { slug: 'model-unreadable', source: `model m { source: «"./nowhere"» }`, says: 'no such folder' },
  {
    slug: 'unsupported-architecture',
    source: `model m { source: «"m"» }`,
    models: qwenWith({ architectures: ['GPTNeoXForCausalLM'] }),
    says: 'Qwen3ForCausalLM',
  },
  {
    slug: 'unsupported-architecture',
    source: `model m { source: «"m"» }`,
    models: qwenWith({ architectures: ['Gemma3ForCausalLN'] }),
    says: 'did you mean `Gemma3ForCausalLM`?',
  },
  {
    slug: 'unsupported-feature',
    source: `model m { source: «"m"» }`,
    models: qwenWith({ rope_scaling: { rope_type: 'xpos', factor: 4 } }),
    says: '`xpos`',
  },
  {
    slug: 'bad-model-config',
    source: `model m { source: «"m"» }`,
    models: qwenWith({ hidden_size: '128' }),
    says: '`hidden_size` is "128"',
  },
  {
    slug: 'unknown-value',
    source: `model m { layers: 2, hidden: 64, heads: 8, ffn: 96, vocab: 100, context: 64, weights: «f61» }`,
    says: '`f16`',
  },
  { slug: 'unknown-value', source: fused('mesh (dp: 8)', 'numerics: «exact»') },
  {
    slug: 'unknown-value',
    source: 'workload w { requests: 8, prompt: lognormal(«foo»: 700 tokens, bar: 3 tokens), output: 1 }',
    says: 'one of mean, deviation',
  },
  {
    slug: 'unknown-value',
    source: 'workload w { requests: 8, prompt: uniform(«LEAST»: 5, most: 9), output: 1 }',
    says: '`least`',
  },
  {
    slug: 'unknown-value',
    source:
      'model m { source: random(«sead»: 7), layers: 2, hidden: 64, heads: 8, ffn: 96, vocab: 100, context: 64 }',
    says: '`seed`',
  },
  {
    slug: 'duplicate-property',
    source: 'workload w { requests: 8, prompt: normal(mean: 5, «mean»: 6), output: 1 }',
    says: '`mean` is given twice in this call of `normal`',
  },
  {
    slug: 'wrong-type',
    source: 'workload w { requests: 8, prompt: «normal(mean: 5)», output: 1 }',
    says: 'two lengths, not 1',
  },
  {
    slug: 'bad-shape',
    source: `model m { layers: 8, hidden: 512, heads: 8, kv_heads: «3», ffn: 8, vocab: 9, context: 8 }`,
  },
  { slug: 'bad-shape', source: `model m { source: "clerk", layers: «8» }` },
  {
    slug: 'bad-shape',
    source: `model m { layers: 8, hidden: 512, heads: 8, ffn: 8, vocab: 9, context: 8, window: «4 tokens» }`,
    says: 'models of family llama have no `window`',
  },
  {
    slug: 'bad-model-config',
    source: `model m { source: «"clerk"», context: 1024 tokens }`,
    says: 'the context cannot be 1024',
  },
  { slug: 'division-by-zero', source: `device d { memory: 24 GB / «0» }` },
  { slug: 'not-supported', source: fused('mesh (dp: 8)', 'numerics: «invariant»') },
  { slug: 'prefix-exceeds-prompt', source: BEGINS_ALIKE, says: 'counts the tokens of `prefix` too' },
  { slug: 'unit-arithmetic', source: `device d { memory: «24 GB + 1 s» }` },
];
