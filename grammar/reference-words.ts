/** What else than properties may stand in each kind of block, and words with a meaning of their own, for editors. */

export interface WordDoc {
  readonly doc: string;
  /** Text with tab stops that an editor inserts, in the syntax of LSP snippets. */
  readonly snippet: string;
  /** A block has no second one. */
  readonly once?: true;
}

const SHARDINGS = {
  shard: {
    doc: 'Dimensions that an axis splits, as it does with all that nothing replicates.',
    snippet: 'shard ${1:heads, ffn} on ${2:tp}',
  },
  replicate: {
    doc: 'Dimensions that stay whole on every rank, or heads that are stored several times.',
    snippet: 'replicate ${1:kv_heads by 2}',
  },
} satisfies Readonly<Record<string, WordDoc>>;

/** Items by the kind of block that they stand in. */
export const ITEMS: Readonly<Record<string, Readonly<Record<string, WordDoc>>>> = {
  file: {
    language: {
      doc: 'Edition of the language that the file is written in.',
      snippet: 'language 1',
      once: true,
    },
    import: {
      doc: 'Takes declarations over from another file.',
      snippet: 'import { $2 } from "${1:std/aws}"',
    },
    param: {
      doc: 'A value with a closed domain; `--set` chooses another one.',
      snippet: 'param ${1:name}: ${2:int} = ${3:1} in [$0]',
    },
    device: {
      doc: 'A kind of accelerator.',
      snippet:
        'device ${1:name} {\n  memory: ${2:24 GB}\n  bandwidth: ${3:300 GB/s}\n  compute: { f16: ${4:121 TFLOPS} }\n}',
    },
    topology: {
      doc: 'Devices, memories and the links between them.',
      snippet:
        'topology ${1:name} {\n  gpu[${2:8}]: ${3:device}\n  tier host { capacity: ${4:640 GiB} }\n  link gpu <-> gpu { bandwidth: ${5:4.2 GB/s} }\n  link gpu <-> host { bandwidth: ${6:12 GB/s} }\n}',
    },
    model: {
      doc: 'A model: its files, or its shape.',
      snippet: 'model ${1:name} { source: "${2:./model}", weights: ${3:f16} }',
    },
    workload: {
      doc: 'Requests, for simulation and for expectations.',
      snippet: 'workload ${1:name} { requests: ${2:500}, prompt: ${3:1000 tokens}, output: ${4:200 tokens} }',
    },
    plan: {
      doc: 'A model on a topology: stages, their meshes, and how they join.',
      snippet:
        'plan ${1:name} for ${2:model} on ${3:topology} {\n  stage serve: prefill + decode on ${4:gpu} { mesh ${5:auto} }\n}',
    },
  },
  topology: {
    tier: { doc: 'A memory that holds KV or weights.', snippet: 'tier ${1:host} { capacity: ${2:640 GiB} }' },
    link: {
      doc: 'A road between two places, both ways.',
      snippet: 'link ${1:gpu} <-> ${2:host} { bandwidth: ${3:12 GB/s} }',
    },
    overhead: {
      doc: 'Time of the engine itself, for simulation.',
      snippet: 'overhead { step: ${1:5 ms}, layer: ${2:30 us} }',
      once: true,
    },
  },
  plan: {
    stage: {
      doc: 'A phase of the work, on some devices, with a mesh.',
      snippet: 'stage ${1:decode} on ${2:gpu} { mesh ${3:auto} }',
    },
    kv: {
      doc: 'The KV cache: pages, and the tiers it spills to.',
      snippet: 'kv { page: ${1:16 tokens}, tiers: ${2:gpu -> host} }',
      once: true,
    },
    flow: {
      doc: 'The way from requests to results, and when devices change stage.',
      snippet: 'flow requests -> ${1:prefill -> decode} -> results',
      once: true,
    },
    expect: { doc: 'What the compiled plan must keep to.', snippet: 'expect {\n  $0\n}' },
  },
  stage: {
    mesh: {
      doc: 'Sizes of the axes that the devices of the stage are laid out by.',
      snippet: 'mesh (${1:tp: 8})',
      once: true,
    },
    ...SHARDINGS,
    split: { doc: 'Layers of each pipeline stage.', snippet: 'split layers on pp [${1:16, 16}]', once: true },
    override: {
      doc: 'Another sharding for some layers.',
      snippet: 'override layers[${1:0..1}].${2:mlp} { replicate ${3:ffn} }',
    },
  },
  override: SHARDINGS,
  flow: {
    to: { doc: 'When the devices switch to another stage.', snippet: 'to ${1:decode} when ${2:host.full}' },
  },
  expect: {
    never: { doc: 'An op that must not occur.', snippet: 'never ${1:all_gather} of ${2:kv} in ${3:decode}' },
    peak: {
      doc: 'Bytes of device memory, the largest of the devices.',
      snippet: 'peak(${1:decode}, ${2:gpu}) <= ${3:22 GB}',
    },
    collectives: {
      doc: 'Collective ops of one layer, or of one step.',
      snippet: 'collectives(${1:decode}, per: ${2:layer}) <= ${3:2}',
    },
    bytes: {
      doc: 'Bytes that a flow edge moves: of KV per token, of weights by one transition, or all of a run.',
      snippet: 'bytes(${1:prefill} -> ${2:decode}, per: ${3:token}) <= ${4:320 KiB}',
    },
    transitions: { doc: 'Changes of stage in a run.', snippet: 'transitions <= ${1:4} for ${2:workload}' },
    time: {
      doc: 'Time of a run, from the first request to the last result; a warning, for it depends on the machine too.',
      snippet: 'time <= ${1:300 s} for ${2:workload}',
    },
  },
};

/** Words with a meaning of their own at places that are no property. */
export const WORDS = {
  axes: {
    dp: 'Deals requests to replicas.',
    pp: 'Cuts the layers into pipeline stages.',
    tp: 'Splits heads, KV heads, ffn and vocabulary of every layer.',
  },
  dims: {
    heads: 'Query heads of a layer.',
    kv_heads: 'Key and value heads of a layer.',
    ffn: 'Inner size of the MLP.',
    vocab: 'Entries of the vocabulary.',
  },
  phases: {
    prefill: 'Reads prompts: many tokens of few requests in a step.',
    decode: 'Writes answers: one token of many requests in a step.',
  },
  conditions: {
    full: 'The next prompt does not fit the tier.',
    empty: 'The tier holds nothing.',
    used: 'Fraction of the tier that is in use: `used < 20%`.',
  },
  ops: {
    all_reduce: 'Sums a value over the ranks of an axis.',
    all_gather: 'Gives every rank all parts of a value.',
    reduce_scatter: 'Sums a value and leaves each rank a part.',
    send: 'Hands activations to the next pipeline stage.',
  },
  operands: {
    weights: 'Weights of the model.',
    kv: 'Keys and values of sequences.',
    activations: 'Values between the ops of a step.',
  },
  distributions: {
    uniform: 'Between two lengths: `uniform(16 tokens, 256 tokens)`.',
    normal: 'About a mean, with a deviation: `normal(900 tokens, 100 tokens)`.',
    lognormal: 'With a long tail, of a mean and a deviation: `lognormal(900 tokens, 400 tokens)`.',
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>;
