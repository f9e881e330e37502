/** The summary of a run as a document for programs: `--json` prints it, `--summary` writes it to a file. */
import { writeFileSync } from 'node:fs';
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { RuntimeFailure } from '../runtime/failure.js';
import { systemReason } from '../runtime/system-reason.js';
import type { Verdict } from '../runtime/expectations/judge-observed.js';
import { verdictsJson } from './expectations.js';
import type { PlanRun } from './run-plan.js';

/** Fields are added within a version; one that goes or changes its meaning makes a new version. */
export const RUN_SUMMARY_FORMAT = 'fulcrum-run';
export const RUN_SUMMARY_VERSION = 1;

/** docs/batches.md describes its fields. */
export function runSummary(
  command: string,
  out: string,
  run: PlanRun,
  graph: RuntimeGraph,
  verdicts: readonly Verdict[] = [],
): Readonly<Record<string, unknown>> {
  const { failure, promptTokens, completionTokens, ...requests } = run.summary;
  return {
    format: RUN_SUMMARY_FORMAT,
    version: RUN_SUMMARY_VERSION,
    command,
    out,
    plan: graph.plan,
    model: graph.model.name,
    seconds: run.seconds,
    requests,
    tokens: { prompt: promptTokens, completion: completionTokens },
    ...(failure === undefined
      ? {}
      : { failure: { code: failure.code, message: failure.message, subject: failure.details.subject } }),
    stats: run.stats,
    ...(verdicts.length > 0 && { expectations: verdictsJson(verdicts) }),
  };
}

/** Writes the document to a file. Fails with FC0918. */
export function writeRunSummary(path: string, summary: Readonly<Record<string, unknown>>): void {
  try {
    writeFileSync(path, `${JSON.stringify(summary, null, 2)}\n`);
  } catch (cause) {
    throw new RuntimeFailure('FC0918', `cannot write the summary to ${path}: ${systemReason(cause)}`, {
      subject: path,
      cause,
    });
  }
}
