/** Serves metrics over HTTP for as long as a run lasts. */
import { createServer } from 'node:http';
import { listen, type Address } from '../listen.js';
import type { RunMetrics } from './run-metrics.js';

export interface MetricsServer {
  /** Where the metrics are. */
  readonly url: string;
  /** Stops listening and drops what is still connected. */
  readonly close: () => Promise<void>;
}

const PATH = '/metrics';

/** Answers GET and HEAD on `/metrics`. Rejects with FC0941 when the address cannot be listened on. */
export async function serveMetrics(
  metrics: Pick<RunMetrics, 'text' | 'contentType'>,
  address: Address,
): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const answer = (
      status: number,
      type: string,
      body: string,
      headers: Record<string, string> = {},
    ): void => {
      response.writeHead(status, { 'content-type': type, ...headers });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    if (request.url?.split('?')[0] !== PATH) return answer(404, 'text/plain', `only ${PATH} is here\n`);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return answer(405, 'text/plain', 'only GET and HEAD\n', { allow: 'GET, HEAD' });
    }
    metrics.text().then(
      (text) => answer(200, metrics.contentType, text),
      (error: unknown) => answer(500, 'text/plain', `${String(error)}\n`),
    );
  });
  const { origin, close } = await listen(server, address, {
    what: 'metrics',
    hostOption: '--metrics-host',
    portOption: '--metrics-port',
  });
  return { url: origin + PATH, close };
}
