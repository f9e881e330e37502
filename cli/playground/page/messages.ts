/** What the page and its workers say to each other. */
import type { Answer, SimulationAnswer } from '../compute.js';

/** The answer to every kind of question. */
export interface Answers {
  readonly compile: Answer;
  readonly simulate: SimulationAnswer;
}

export interface Question {
  readonly id: number;
  readonly ask: keyof Answers;
  readonly text: string;
}

/** `failed`: a bug of the compiler or the clock, with its stack. */
export type Reply<Kind extends keyof Answers> = { readonly id: number } & (
  { readonly answer: Answers[Kind] } | { readonly failed: string }
);
