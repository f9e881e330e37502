/** The operators that stand between two operands. */
import type { BinaryOperator } from './syntax.js';

/** How tight each operator binds; all associate to the left. */
export const precedence: Readonly<Record<BinaryOperator, number>> = {
  or: 1,
  and: 2,
  '==': 3,
  '!=': 3,
  '<': 3,
  '<=': 3,
  '>': 3,
  '>=': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
};
/** How tight those bind that compare. */
export const comparison = 3;

export function isBinaryOperator(text: string): text is BinaryOperator {
  return Object.hasOwn(precedence, text);
}

export function isComparison(text: string): boolean {
  return isBinaryOperator(text) && precedence[text] === comparison;
}
