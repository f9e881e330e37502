/** What the page and its worker say to each other. */
import type { Answer, SimulationAnswer } from '../compute.js';

export interface Question {
  readonly id: number;
  readonly ask: 'compile' | 'simulate';
  readonly text: string;
}

/** `failed`: a bug of the compiler, with its stack. */
export type Reply = { readonly id: number } & (
  | { readonly ask: 'compile'; readonly answer: Answer }
  | { readonly ask: 'simulate'; readonly answer: SimulationAnswer }
  | { readonly ask: Question['ask']; readonly failed: string }
);
