/** Computes beside the page, so that typing never waits for the compiler. */
import { compute, computeSimulation } from '../compute.js';
import type { Answers, Question, Reply } from './messages.js';

const computing: { readonly [Kind in keyof Answers]: (text: string) => Answers[Kind] } = {
  compile: compute,
  simulate: computeSimulation,
};

addEventListener('message', ({ data: { id, ask, text } }: MessageEvent<Question>) => {
  const reply: Reply<keyof Answers> = { id, ...answer(ask, text) };
  postMessage(reply);
});

function answer<Kind extends keyof Answers>(
  ask: Kind,
  text: string,
): { readonly answer: Answers[Kind] } | { readonly failed: string } {
  try {
    return { answer: computing[ask](text) };
  } catch (bug) {
    return { failed: bug instanceof Error ? (bug.stack ?? bug.message) : String(bug) };
  }
}
