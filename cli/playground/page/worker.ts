/** Computes beside the page, so that typing never waits for the compiler. */
import { compute, computeSimulation } from '../compute.js';
import type { Question, Reply } from './messages.js';

addEventListener('message', ({ data }: MessageEvent<Question>) => {
  const { id, ask, text } = data;
  const reply: Reply = { id, ask, ...answer(ask, text) } as Reply;
  postMessage(reply);
});

function answer(
  ask: Question['ask'],
  text: string,
): { readonly answer: unknown } | { readonly failed: string } {
  try {
    return { answer: ask === 'compile' ? compute(text) : computeSimulation(text) };
  } catch (bug) {
    return { failed: bug instanceof Error ? (bug.stack ?? bug.message) : String(bug) };
  }
}
