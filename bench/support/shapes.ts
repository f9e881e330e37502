/** A Llama of 110 M parameters: large enough that bytes outweigh calls, small enough for software devices. */
export const LLAMA_110M = {
  layers: 12,
  hidden: 768,
  heads: 12,
  kvHeads: 4,
  headDim: 64,
  ffn: 2048,
  vocab: 32000,
} as const;

/** The demo model's: so small that calls outweigh bytes. */
export const CLERK_SHAPE = {
  layers: 8,
  hidden: 128,
  heads: 8,
  kvHeads: 4,
  headDim: 16,
  ffn: 256,
  vocab: 512,
} as const;
