import { FAILURE_CODES } from '../runtime/failure-codes.js';
import type { RuntimeFailure } from '../runtime/failure.js';
import type { FailureJson } from './terminal.js';

/** An expected failure of a run as text, in the form of a diagnostic outside any source. */
export function renderFailure(failure: RuntimeFailure, colour: boolean): string {
  const paint = (text: string, style: string): string => (colour ? `\u001b[${style}m${text}\u001b[0m` : text);
  const { subject, help } = failure.details;
  const place = subject === undefined || failure.message.includes(subject) ? '' : `${subject}: `;
  const head = `${place}${paint(`error[${failure.code}]`, '1;31')}: ${failure.message}`;
  return help === undefined ? head : `${head}\n  ${paint('help', '1;32')}: ${help}`;
}

/** The same as documents have it. */
export function failureJson({ code, message, details: { subject, help } }: RuntimeFailure): FailureJson {
  const { slug } = FAILURE_CODES[code]!;
  return {
    code,
    slug,
    message,
    ...(subject !== undefined && { subject }),
    ...(help !== undefined && { help }),
  };
}
