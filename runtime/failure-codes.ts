/** Every code a RuntimeFailure may carry, with its name and what it means. Codes never change their meaning. */
export interface FailureKind {
  readonly slug: string;
  readonly meaning: string;
}

export const FAILURE_CODES: Readonly<Record<`FC09${string}`, FailureKind>> = {
  FC0901: { slug: 'no-adapter', meaning: 'No WebGPU adapter was found on this machine.' },
  FC0902: {
    slug: 'device-lost',
    meaning: 'A device stopped working during a run; results written before stay.',
  },
  FC0903: {
    slug: 'device-limit',
    meaning: 'A buffer or binding is larger than the device allows, or its memory is full.',
  },
  FC0910: { slug: 'model-missing', meaning: 'A model directory, or a file it must have, is not there.' },
  FC0911: {
    slug: 'damaged-file',
    meaning: 'A file of a model is truncated or not of its format.',
  },
  FC0912: { slug: 'tensor-missing', meaning: 'The weights lack a tensor that the plan needs.' },
  FC0913: {
    slug: 'tensor-mismatch',
    meaning: 'A tensor has another shape or element type than the config of its model asks for.',
  },
  FC0914: {
    slug: 'tokenizer-unusable',
    meaning: 'The tokenizer or its chat template is missing or cannot be used.',
  },
  FC0915: {
    slug: 'vocabulary-mismatch',
    meaning: 'The tokenizer has ids beyond the vocabulary of the model.',
  },
  FC0916: { slug: 'requests-unreadable', meaning: 'The request file cannot be read or holds no request.' },
  FC0917: {
    slug: 'request-refused',
    meaning: 'One request cannot be served; it gets an error line, the others go on.',
  },
  FC0918: { slug: 'results-unwritable', meaning: 'The results file cannot be written.' },
  FC0919: {
    slug: 'model-mismatch',
    meaning: 'The model directory is of another model than the plan was compiled for, or cannot be run.',
  },
  FC0920: {
    slug: 'graph-unusable',
    meaning: 'A compiled graph cannot be read, is of another version, or does not pass its verifier.',
  },
  FC0921: {
    slug: 'move-corrupted',
    meaning: 'Weights or KV pages that were moved are not what they were before (found by --verify-moves).',
  },
  FC0922: {
    slug: 'kv-store-unusable',
    meaning: 'The directory of a disk tier cannot be made, read or written.',
  },
  FC0923: {
    slug: 'lengths-unreadable',
    meaning:
      'A file of lengths, or a trace to take them from, cannot be read, holds no request, is cut short or damaged, or has lines that are not lengths of one.',
  },
  FC0924: {
    slug: 'trace-unusable',
    meaning: 'A trace to hold a plan against cannot be read, or is of no run of the plan.',
  },
  FC0930: {
    slug: 'results-there',
    meaning: 'The results file holds something already: it must be resumed or overwritten on purpose.',
  },
  FC0931: {
    slug: 'other-batch',
    meaning: 'A run cannot be resumed with another model, plan or request file than it was begun with.',
  },
  FC0932: {
    slug: 'journal-unusable',
    meaning: 'A run cannot be resumed: its journal is missing or damaged, or does not belong to the results.',
  },
  FC0933: { slug: 'run-in-progress', meaning: 'Another process is writing the same results file.' },
  FC0934: { slug: 'tokenizer-worker-lost', meaning: 'A thread that tokenises requests ended unexpectedly.' },
  FC0935: {
    slug: 'response-format-unusable',
    meaning:
      'An answer cannot be held to its `response_format`; the request gets an error line, the others go on.',
  },
  FC0936: {
    slug: 'answer-stuck',
    meaning:
      'No token of the model may go on with an answer; the request gets an error line, the others go on.',
  },
  FC0937: {
    slug: 'logits-not-finite',
    meaning:
      'The logits of the model are not finite, so no token can be chosen; the request gets an error line, the others go on.',
  },
  FC0940: {
    slug: 'report-unwritable',
    meaning: 'A report cannot be written, or its file is one that is read, or that of another report.',
  },
  FC0941: {
    slug: 'port-unusable',
    meaning: 'The address that something should be served at is taken, or is not of this machine.',
  },
};
