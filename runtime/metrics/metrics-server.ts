/** Serves metrics over HTTP for as long as a run lasts. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';
import type { RunMetrics } from './run-metrics.js';

export interface MetricsServer {
  /** Where the metrics are. */
  readonly url: string;
  /** Stops listening and drops what is still connected. */
  readonly close: () => Promise<void>;
}

export interface MetricsAddress {
  readonly host: string;
  /** 0 takes any that is free. */
  readonly port: number;
}

const PATH = '/metrics';

/** Answers GET and HEAD on `/metrics`. Rejects with FC0941 when the address cannot be listened on. */
export async function serveMetrics(
  metrics: Pick<RunMetrics, 'text' | 'contentType'>,
  { host, port }: MetricsAddress,
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
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new RuntimeFailure('FC0941', `cannot serve metrics at ${host}:${port}: ${systemReason(cause)}`, {
          subject: `${host}:${port}`,
          help: 'choose another port with --metrics-port; 0 takes any that is free',
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
  const { address, family, port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}${PATH}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
