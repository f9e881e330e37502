/** The bar of `progress`: a module of its own, as it is loaded where somebody watches alone. */
import { Writable } from 'node:stream';
import { SingleBar } from 'cli-progress';
import type { Progress } from './progress.js';
import { err, type Terminal } from './terminal.js';

export function barProgress(terminal: Terminal, noun: string): Progress {
  const stream = Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        terminal.writeErr(String(chunk));
        done();
      },
    }),
    { isTTY: true, columns: terminal.columns },
  );
  const bar = new SingleBar({
    stream,
    format: `  {bar} {value}/{total} ${noun}  {duration_formatted}  {note}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
    fps: 8,
    hideCursor: true,
    autopadding: true,
    gracefulExit: false,
    linewrap: false,
  });
  let running = false;
  return {
    say: (what) => err(terminal, `  ${what}`),
    start: (total) => {
      bar.start(total, 0, { note: '' });
      running = true;
    },
    update: (done, total, note) => {
      bar.setTotal(total);
      bar.update(done, { note });
    },
    stop: () => {
      if (running) bar.stop();
      running = false;
    },
  };
}
