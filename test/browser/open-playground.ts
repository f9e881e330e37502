/** The playground as its command serves it, and a browser for it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chromium, type Browser } from 'playwright-core';
import { browserPath } from '../../scripts/setup/browser.mjs';

export interface Playground {
  readonly browser: Browser;
  readonly url: string;
  /** Closes both; the status that the command exits with. */
  readonly close: () => Promise<number | null>;
}

export async function openPlayground(): Promise<Playground> {
  const server = spawn(process.execPath, ['dist/program/main.js', 'playground', '--port', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [line] = (await once(server.stderr.setEncoding('utf8'), 'data')) as [string];
  const browser = await chromium.launch({
    executablePath: browserPath()!,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  });
  const close = async (): Promise<number | null> => {
    await browser.close();
    server.kill('SIGINT');
    const [code] = (await once(server, 'exit')) as [number | null];
    return code;
  };
  return { browser, url: /http:\S+/.exec(line)![0], close };
}
