/** HTTP servers that live as long as a command: metrics, the playground. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RuntimeFailure } from './failure.js';
import { systemReason } from './system-reason.js';

export interface Address {
  readonly host: string;
  /** 0 takes any that is free. */
  readonly port: number;
}

export interface Listening {
  /** `http://127.0.0.1:9400`, without a path. */
  readonly origin: string;
  /** Stops listening and drops what is still connected. */
  readonly close: () => Promise<void>;
}

/** What is served, and the option that chooses the port: for the message. */
interface Served {
  readonly what: string;
  readonly option: string;
}

/** Starts a server. Rejects with FC0941 when the address cannot be listened on. */
export async function listen(
  server: Server,
  { host, port }: Address,
  { what, option }: Served,
): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new RuntimeFailure('FC0941', `cannot serve ${what} at ${host}:${port}: ${systemReason(cause)}`, {
          subject: `${host}:${port}`,
          help: `choose another port with ${option}; 0 takes any that is free`,
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
  const { address, family, port: taken } = server.address() as AddressInfo;
  return {
    origin: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
