/**
 * A thread of a GPU process that ends the process when the parent is gone, whatever the other threads are at. Nothing is
 * put in order before: what a batch has on disk can be gone on from at any moment.
 */
import { Socket } from 'node:net';
import { workerData } from 'node:worker_threads';

const end = (): void => void process.kill(process.pid, 'SIGKILL');
new Socket({ fd: workerData as number }).on('error', end).on('end', end).resume();
