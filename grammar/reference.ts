/**
 * The properties of each kind of block, with what they mean: the data behind completion, hover and the reference page.
 * A test holds them to those that the checker knows.
 */

/** What values a property takes, as far as an editor can help with them. */
export type ValueKind =
  | { readonly kind: 'quantity'; readonly units: readonly string[]; readonly example: string }
  | { readonly kind: 'words'; readonly words: readonly string[] }
  /** `units` are those of its values; without `keys` any whole number is one. */
  | {
      readonly kind: 'record';
      readonly keys: readonly string[];
      readonly units: readonly string[];
      readonly example: string;
    }
  | {
      readonly kind: 'number' | 'text' | 'truth' | 'tiers' | 'length' | 'requests';
      readonly example: string;
    };

/** A value of the kind, for somebody to change. */
export function exampleOf(value: ValueKind): string {
  return value.kind === 'words' ? value.words[0]! : value.example;
}

export interface PropertyDoc {
  readonly value: ValueKind;
  readonly doc: string;
  /** The value that leaving the property out means, where there is one for all files. */
  readonly standard?: string;
  /** What leaving it out means, in words; `required` where it cannot be. */
  readonly fallback?: string;
}

/** What leaving a property out means, in Markdown; undefined where it cannot be left out. */
export function defaultOf({ standard, fallback }: PropertyDoc): string | undefined {
  if (fallback === REQUIRED) return undefined;
  const parts = [
    ...(standard === undefined ? [] : [`\`${standard}\``]),
    ...(fallback === undefined ? [] : [fallback]),
  ];
  return parts.join(', ');
}

const REQUIRED = 'required';
/** Units of sizes, the usual ones first; then those of rates, of operations per second and of times. */
export const BYTES = ['GiB', 'MiB', 'KiB', 'TiB', 'GB', 'MB', 'KB', 'TB', 'B'];
export const RATES = BYTES.map((unit) => `${unit}/s`);
export const FLOPS = ['TFLOPS', 'GFLOPS', 'PFLOPS'];
export const TIMES = ['us', 'ms', 'ns', 's'];

const bytes = (example: string): ValueKind => ({ kind: 'quantity', units: BYTES, example });
const rate = (example: string): ValueKind => ({ kind: 'quantity', units: RATES, example });
const time = (example: string): ValueKind => ({ kind: 'quantity', units: TIMES, example });
const tokens = (example: string): ValueKind => ({ kind: 'quantity', units: ['tokens'], example });
const requests = (example: string): ValueKind => ({ kind: 'quantity', units: ['requests'], example });
const part = (example: string): ValueKind => ({ kind: 'quantity', units: ['%'], example });
const words = (...each: string[]): ValueKind => ({ kind: 'words', words: each });
const count = (example: string): ValueKind => ({ kind: 'number', example });
/** Of an engine: an example is what it is not where nothing is said. */
const effect = (standard: 'true' | 'false', doc: string): PropertyDoc => ({
  value: { kind: 'truth', example: standard === 'true' ? 'false' : 'true' },
  doc,
  standard,
});

const WEIGHT_WORDS = ['f32', 'f16', 'bf16', 'int8', 'int4'];
const FAMILIES = ['llama', 'mistral', 'qwen2', 'qwen3', 'gemma2', 'gemma3', 'phi3'];

/** Properties by the kind of block. */
export const PROPERTIES = {
  device: {
    memory: { value: bytes('24 GB'), doc: 'Memory of the device.', fallback: REQUIRED },
    bandwidth: { value: rate('300 GB/s'), doc: 'Peak bandwidth of its memory.', fallback: REQUIRED },
    compute: {
      value: {
        kind: 'record',
        keys: ['f32', 'tf32', 'f16', 'bf16', 'fp8', 'int8', 'int4'],
        units: FLOPS,
        example: '{ f16: 121 TFLOPS }',
      },
      doc: 'Peak operations per second by element type; kernels compute in `f32`, `f16` and `bf16`.',
      fallback: REQUIRED,
    },
    sustained: {
      value: {
        kind: 'record',
        keys: ['compute', 'bandwidth'],
        units: ['%'],
        example: '{ compute: 43%, bandwidth: 80% }',
      },
      doc: 'Fraction of the peaks that large kernels reach.',
      standard: '{ compute: 50%, bandwidth: 80% }',
    },
    gemm: {
      value: { kind: 'record', keys: [], units: ['%'], example: '{ 64: 9%, 4096: 43% }' },
      doc: 'Fraction of the peak that matrix products of so many rows reach.',
      fallback: 'that of large kernels',
    },
    kernels: {
      value: {
        kind: 'record',
        keys: [
          ...['embed', 'rms_norm', 'add_rms_norm', 'add', 'rope_append', 'attention', 'decode_attention'],
          ...['silu_mul', 'gelu_mul', 'soft_cap', 'gather_rows', 'sample'],
        ],
        units: ['%'],
        example: '{ rms_norm: 40%, rope_append: 15% }',
      },
      doc: 'Fraction of what compute and bandwidth allow that other kernels reach.',
      fallback: 'all of it',
    },
    attention_rows: {
      value: { kind: 'number', example: '16' },
      doc: 'Rows of a sequence that attention computes together, and as many where there are fewer.',
      fallback: 'each by itself',
    },
    largest_binding: {
      value: bytes('2 GiB'),
      doc: 'Largest range of a buffer that a kernel can see; the KV pages of a layer lie in one.',
      fallback: 'a 16th of `memory`, from 128 MiB to 2 GiB, as of WebGPU',
    },
    shared: {
      value: { kind: 'record', keys: ['2', '4', '8'], units: ['%'], example: '{ 2: 60%, 4: 30% }' },
      doc: 'Fraction of its speed that each of so many devices keeps while all compute: they are one processor.',
      fallback: 'all of it',
    },
    shared_host: {
      value: { kind: 'record', keys: ['2', '4', '8'], units: ['%'], example: '{ 2: 40%, 4: 15% }' },
      doc: 'Fraction of its speed that an exchange of one device keeps while the others of so many compute.',
      fallback: 'as `shared`',
    },
  },
  tier: {
    capacity: { value: bytes('640 GiB'), doc: 'Bytes that the tier can hold.', fallback: REQUIRED },
    path: {
      value: { kind: 'text', example: '"/var/lib/fulcrum"' },
      doc: 'Directory of a disk; a tier without one is host memory.',
      fallback: 'host memory',
    },
  },
  link: {
    bandwidth: { value: rate('12 GB/s'), doc: 'Bytes per second in each direction.', fallback: REQUIRED },
    bandwidth_back: {
      value: rate('1.2 GB/s'),
      doc: 'Bytes per second from its right end to its left one; `bandwidth` then is from left to right.',
      fallback: 'as `bandwidth`',
    },
    weights: {
      value: rate('11 GB/s'),
      doc: 'Bytes per second of weights on the clock, where they do not move as KV pages do.',
      fallback: 'as `bandwidth`',
    },
    latency: { value: time('10 us'), doc: 'Time until the first byte is there.', standard: '0 s' },
    allreduce: {
      value: { kind: 'record', keys: ['2', '4', '8'], units: RATES, example: '{ 2: 20 GB/s, 4: 3.4 GB/s }' },
      doc: 'Measured all-reduce: bytes of the tensor by time, for so many ranks.',
      fallback: 'worked out from the bandwidth',
    },
    allreduce_latency: {
      value: { kind: 'record', keys: ['2', '4', '8'], units: TIMES, example: '{ 2: 90 us, 4: 180 us }' },
      doc: 'Time of an all-reduce of next to nothing, for so many ranks.',
      fallback: 'worked out from `latency`',
    },
    allgather_latency: {
      value: { kind: 'record', keys: ['2', '4', '8'], units: TIMES, example: '{ 2: 80 us, 4: 160 us }' },
      doc: 'Time of an all-gather of next to nothing, for so many ranks.',
      fallback: 'half of an all-reduce',
    },
  },
  overhead: {
    step: { value: time('5 ms'), doc: 'Time of the engine for every step, for simulation.', standard: '0 s' },
    layer: { value: time('30 us'), doc: 'Time of the devices for every layer of a step.', standard: '0 s' },
    request: { value: time('4 us'), doc: 'Time of the engine for every request of a step.', standard: '0 s' },
    kernel: { value: time('4 us'), doc: 'Time of the devices for every kernel of a step.', standard: '0 s' },
    submit: {
      value: { kind: 'record', keys: ['1', '2', '4'], units: TIMES, example: '{ 1: 60 us, 4: 300 us }' },
      doc: 'Time that the kernels between two exchanges take so many ranks beside what they do: handing over, waking up.',
      fallback: 'none',
    },
    read: {
      value: { kind: 'record', keys: ['1', '2', '4'], units: TIMES, example: '{ 1: 80 us, 4: 200 us }' },
      doc: 'Time to read the samples of a step back from so many ranks.',
      fallback: 'none',
    },
    choose: {
      value: time('8 us'),
      doc: 'Time of the engine to choose a token from the samples of a row.',
      fallback: 'none',
    },
    encode: {
      value: time('10 us'),
      doc: 'Part of `submit`: time of the engine to record a kernel for one device, which those of other groups wait for.',
      fallback: 'none',
    },
    activations: {
      value: words('f32', 'f16'),
      doc: 'Element type of what the engine hands from device to device in a step, for simulation.',
      fallback: 'those of the runtime, `f32`',
    },
    activations_in_memory: {
      value: words('f32', 'f16'),
      doc: 'Element type in which its kernels read and write activations in device memory, for simulation.',
      fallback: 'those of the runtime, `f32`',
    },
    host_overhead: effect(
      'true',
      'Whether the times of `overhead` count; `simulate` has switches for this and the next five.',
    ),
    small_gemm_loss: effect('true', 'Whether matrix products of few rows lose speed.'),
    virtual_engines: effect(
      'false',
      'Microbatches of a pipeline have sequences and KV of their own, in plans of one stage.',
    ),
    copy_engines: effect('false', 'Copies between devices and tiers run beside kernels.'),
    full_reload: effect('false', 'Transitions load every weight of the next stage from the host.'),
    host_per_replica: effect(
      'false',
      'Every replica has a host process of its own, in place of one for all.',
    ),
  },
  model: {
    source: {
      value: { kind: 'text', example: '"hf:org/name"' },
      doc: 'Folder in Hugging Face layout relative to this file, a GGUF file, or `hf:org/name` in the local cache.',
      fallback: 'a shape alone',
    },
    weights: {
      value: words(...WEIGHT_WORDS),
      doc: 'Element type of the weights in device memory.',
      fallback: 'that of the source; `f16` for a shape alone',
    },
    family: {
      value: words(...FAMILIES),
      doc: 'Architecture of a model that is given by its shape.',
      standard: 'llama',
    },
    layers: { value: count('32'), doc: 'Number of decoder layers.', fallback: REQUIRED },
    hidden: { value: count('4096'), doc: 'Size of the residual stream.', fallback: REQUIRED },
    heads: { value: count('32'), doc: 'Query heads of a layer.', fallback: REQUIRED },
    kv_heads: { value: count('8'), doc: 'Key and value heads of a layer.', fallback: 'as many as `heads`' },
    head_dim: { value: count('128'), doc: 'Size of a head.', fallback: 'as in the family' },
    ffn: { value: count('14336'), doc: 'Inner size of the MLP.', fallback: REQUIRED },
    vocab: { value: count('128256'), doc: 'Entries of the vocabulary.', fallback: REQUIRED },
    context: { value: tokens('8192 tokens'), doc: 'Longest sequence.', fallback: REQUIRED },
    norm_eps: {
      value: count('0.00001'),
      doc: 'Added to the variance in norms.',
      fallback: 'as in the family',
    },
    rope_theta: {
      value: count('500_000'),
      doc: 'Base of the rotary embedding.',
      fallback: 'as in the family',
    },
    window: {
      value: tokens('4096 tokens'),
      doc: 'Tokens that a sliding layer sees.',
      fallback: 'as in the family',
    },
    attention_softcap: {
      value: count('50'),
      doc: 'Soft cap of attention scores.',
      fallback: 'as in the family',
    },
    logit_softcap: { value: count('30'), doc: 'Soft cap of logits.', fallback: 'as in the family' },
    tied: {
      value: { kind: 'truth', example: 'true' },
      doc: 'Whether the embedding table is the output projection too.',
      fallback: 'as in the family',
    },
  },
  workload: {
    requests: {
      value: { kind: 'requests', example: '500' },
      doc: 'How many requests, or a file of their lengths.',
      fallback: REQUIRED,
    },
    prompt: {
      value: { kind: 'length', example: '2620 tokens' },
      doc: 'Tokens of a prompt: fixed, or drawn from a distribution.',
      fallback: 'as in the file, where `requests` names one',
    },
    output: {
      value: { kind: 'length', example: '279 tokens' },
      doc: 'Tokens of an answer: fixed, or drawn from a distribution.',
      fallback: 'as in the file, where `requests` names one',
    },
    prefix: {
      value: tokens('512 tokens'),
      doc: 'Tokens that all prompts begin with, part of `prompt`: a system prompt, a document.',
      fallback: 'none, or as in the file that `requests` names',
    },
  },
  plan: {
    memory_use: {
      value: part('90%'),
      doc: 'Fraction of device memory that the plan may use.',
      standard: '90%',
    },
    weights: {
      value: words(...WEIGHT_WORDS),
      doc: 'Element type of the weights, in place of the model’s.',
      fallback: 'as in the model',
    },
    residence: {
      value: words('auto', 'both', 'switch'),
      doc: 'Whether the weights of stages on the same devices stay together or take turns.',
      standard: 'auto',
    },
    numerics: {
      value: words('default', 'invariant'),
      doc: 'Whether results may depend on the sharding in the last bits. `invariant` is refused so far.',
      standard: 'default',
    },
  },
  stage: {
    microbatch: {
      value: tokens('512 tokens'),
      doc: 'Most tokens of one step of a replica.',
      standard: '2048 tokens',
      fallback: 'no more than the context; of a stage that only decodes its part of the batch',
    },
    batch: {
      value: requests('256 requests'),
      doc: 'Most requests decoding at once in the stage.',
      standard: '256 requests',
      fallback: '32 for each step in flight, `dp` times `pp`, where that is more',
    },
  },
  kv: {
    page: { value: tokens('16 tokens'), doc: 'Tokens of a page.', standard: '16 tokens' },
    dtype: {
      value: words('f16', 'f32'),
      doc: 'Element type of KV.',
      fallback: '`f32` where the weights are, else `f16`',
    },
    tiers: {
      value: { kind: 'tiers', example: 'gpu -> host -> nvme' },
      doc: 'Spill order of KV, from device memory on; `host up to 400 GiB` caps a tier, that of each host.',
      fallback: 'the devices, then the tiers they reach',
    },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, PropertyDoc>>>>;
