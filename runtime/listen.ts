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

/** What is served, and the options that choose address and port: for the message. */
interface Served {
  readonly what: string;
  readonly hostOption: string;
  readonly portOption: string;
}

/** Errors that no other port would mend. */
const OF_ADDRESS: readonly (string | undefined)[] = [
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'EAI_AGAIN',
  'EINVAL',
  'ENOTFOUND',
];

/** Starts a server. Rejects with FC0941 when the address cannot be listened on. */
export async function listen(
  server: Server,
  { host, port }: Address,
  { what, hostOption, portOption }: Served,
): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new RuntimeFailure('FC0941', `cannot serve ${what} at ${host}:${port}: ${systemReason(cause)}`, {
          subject: `${host}:${port}`,
          help: OF_ADDRESS.includes(cause.code)
            ? `choose an address of this machine with ${hostOption}`
            : `choose another port with ${portOption}; 0 takes any that is free`,
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
