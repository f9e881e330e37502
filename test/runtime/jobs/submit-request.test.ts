import { describe, expect, it } from 'vitest';
import { parseRequest } from '../../../runtime/jobs/request.js';
import { prepareRequest } from '../../../runtime/jobs/submit-request.js';

const model = { name: 'fake', context: 64, vocab: 512 };

describe('a request for a model', () => {
  it.each([
    [0, 0],
    [511, 511],
    [512, 0],
    [1_000_000_000, 0],
  ])('draws with top_k %i as with %i', (given, taken) => {
    const request = parseRequest('a', '/v1/completions', { prompt: [1], top_k: given, top_p: 0.9, seed: 7 });
    const { sampling } = prepareRequest(request, [1], model).request;
    expect(sampling).toEqual({ ...request.sampling, topK: taken });
  });
});
