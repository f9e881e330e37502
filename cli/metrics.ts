/** `--metrics` and `--metrics-port`: the metrics of a run in a file, or served while it lasts. */
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { RuntimeFailure } from '../runtime/failure.js';
import { refuseUnwritableMetrics, writeMetricsFile } from '../runtime/metrics/metrics-file.js';
import type { Address } from '../runtime/listen.js';
import { serveMetrics } from '../runtime/metrics/metrics-server.js';
import { createRunMetrics, type RunMetrics } from '../runtime/metrics/run-metrics.js';
import { renderFailure } from './render-failure.js';
import { err, type Terminal } from './terminal.js';

/** Where metrics go. */
export interface MetricsTarget {
  /** Written when the run ends, however it ends. */
  readonly path?: string;
  /** Served from before the devices are opened to the end. */
  readonly address?: Address;
}

export interface OpenMetrics extends RunMetrics {
  /** Writes the file and stops serving. Says of a file that cannot be written any more why, and returns false. */
  readonly close: () => Promise<boolean>;
}

/** Rejects with RuntimeFailure FC0940 or FC0941 when the target cannot be used. */
export async function openMetrics(
  { path, address }: MetricsTarget,
  graph: RuntimeGraph,
  terminal: Terminal,
): Promise<OpenMetrics> {
  const { model, plan } = graph;
  const metrics = createRunMetrics({ model: model.name, plan, context: model.shape.context });
  if (path !== undefined) refuseUnwritableMetrics(path);
  const server = address === undefined ? undefined : await serveMetrics(metrics, address);
  if (server !== undefined) err(terminal, `  metrics at ${server.url}`);
  return {
    ...metrics,
    close: async () => {
      try {
        if (path !== undefined) writeMetricsFile(path, await metrics.text());
        return true;
      } catch (error) {
        if (!(error instanceof RuntimeFailure)) throw error;
        err(terminal, renderFailure(error, terminal.colour));
        return false;
      } finally {
        await server?.close();
      }
    },
  };
}
