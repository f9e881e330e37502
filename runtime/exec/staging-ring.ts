/**
 * Fills places in a device's memory by way of a ring of slots there. Bytes from the host and rows from other places
 * are collected in a slot; then one submit takes them all to where they belong.
 *
 * Why not write into place: WebGPU has to stage what it writes to a buffer that commands still use, and takes fresh
 * memory for it, at half the speed or less. A slot is in use only by its own copies, so writes to it go straight to
 * memory where the host can see it. In Dawn that holds only for a buffer that nothing but copies ever reads and nothing
 * else writes. Columns of a matrix are written exactly, not as whole rows. And bytes can be on the device before the
 * place they are for may be written: as many as the ring holds, which takes more slots for them as far as it may. It
 * takes none to get ahead of the device, as slots that are used again and again are nearer to the processor.
 *
 * Order: slots are emptied in the order they were filled, by a submit each, and moves in the order they were put in.
 */
import { REGION_ALIGNMENT, ringSizes } from '../../compiler/ir/device-weights.js';
import { roundUp } from '../../compiler/ir/device-layout.js';
import type { ByteRange } from '../../compiler/ir/runtime-graph.js';
import type { BufferRange, Device, DeviceBuffer, RowCopy } from '../device/device.js';
import type { WeightRuns } from '../weights/pack.js';
import type { Turns } from './turns.js';
import type { Place } from './weight-arena.js';

/** What is being brought into one place. */
export interface Delivery {
  readonly target: Place;
  /** What it is, for reports. */
  readonly name: string;
  /** Resolves when the place may be written; undefined when it may be at once. */
  readonly clear: () => Promise<void> | undefined;
  /** The lower, the sooner it is needed. */
  readonly urgency: number;
}

/** Rows of an old place on their way to a new one: from `fromAt` of `from` to `toAt` of the delivery's target. */
export type PlaceCopy = Omit<RowCopy, 'from' | 'to'> & { readonly from: BufferRange };

/** A slot's worth of moves, from the first byte put in it until the device is done. */
export interface MoveSpan {
  /** Names of the deliveries it has part in. */
  readonly what: readonly string[];
  readonly uploadedBytes: number;
  readonly copiedBytes: number;
  /** Milliseconds of `performance.now()`: filling began, all was submitted, the device was done. */
  readonly begin: number;
  readonly submitted: number;
  readonly end: number;
}

export interface StagingRing {
  /** Bytes from the host. They may be reused when it resolves. */
  upload(delivery: Delivery, runs: WeightRuns): Promise<void>;
  /** Rows that lie elsewhere on the device: not in the target itself, unless they were set aside. */
  copy(delivery: Delivery, copy: PlaceCopy): Promise<void>;
  /** Packs rows from `at` of a buffer outside the ring on, before anything put in later is written. */
  setAside(copy: PlaceCopy, to: DeviceBuffer, at: number): Promise<void>;
  /** Sets a range of the target to zero before what is put in later. */
  zero(delivery: Delivery, range: ByteRange): Promise<void>;
  /** Calls back when all that was put in so far is submitted: commands submitted from then on find it in place. */
  whenSubmitted(go: () => void): void;
  /** Empties the last slot. Resolves when everything is submitted; rejects with what went wrong on the way. */
  finish(): Promise<void>;
  free(): void;
}

/** Moves are cut so that several parts fit in a slot, to leave little of it empty. */
const PARTS = 4;

interface Slot {
  readonly buffer: DeviceBuffer;
  /** It is being filled, or the device is not done with what is in it. */
  busy: boolean;
}

/** A slot being filled. */
interface Filling {
  readonly slot: Slot;
  readonly begin: number;
  readonly what: Set<string>;
  readonly clears: Set<Delivery['clear']>;
  /** Copies, and places to be set to zero. */
  readonly moves: (RowCopy | Place)[];
  readonly after: (() => void)[];
  /** Bytes taken of the slot. */
  used: number;
  uploadedBytes: number;
  copiedBytes: number;
}

/**
 * @param largest bytes of the largest weight, which say how large slots are
 * @param spare bytes of the device that it may take as well while it waits for places
 */
export function createStagingRing(
  device: Device,
  largest: number,
  spare: number,
  turns: Turns,
  onMove: (span: MoveSpan) => void = () => undefined,
): StagingRing {
  const { slots: usualSlots, slotBytes, scratchBytes } = ringSizes(largest);
  const mostSlots = usualSlots + Math.max(0, Math.floor(spare / slotBytes));
  const partBytes = roundUp(slotBytes / PARTS, REGION_ALIGNMENT);
  const scratch = device.createRowScratch('staging rows', scratchBytes);
  const slots: Slot[] = [];
  const addSlot = (): Slot => {
    const isSpare = slots.length >= usualSlots;
    const buffer = device.createBuffer(`staging ${slots.length}`, slotBytes, isSpare);
    const slot = { buffer, busy: false };
    slots.push(slot);
    return slot;
  };
  while (slots.length < usualSlots) addSlot();
  let filling: Filling | undefined;
  let emptied: Promise<void> = Promise.resolve();
  /** The next slot to be emptied waits for places. */
  let heldUp = false;
  let failure: { readonly error: unknown } | undefined;
  /** Has whoever waits for a slot look again. */
  let wake: () => void = () => undefined;

  const takeSlot = async (): Promise<Slot> => {
    for (;;) {
      if (failure !== undefined) throw failure.error;
      let slot = slots.find(({ busy }) => !busy);
      if (slot === undefined && heldUp && slots.length < mostSlots) slot = addSlot();
      if (slot !== undefined) {
        slot.busy = true;
        return slot;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  /** Resolves when the slot's moves are submitted; `done` when the device has carried them out. */
  const empty = async (full: Filling): Promise<{ readonly done: Promise<void> }> => {
    const waits = [...full.clears].flatMap((clear) => clear() ?? []);
    if (waits.length > 0) {
      heldUp = true;
      wake();
      await Promise.all(waits);
      heldUp = false;
    }
    device.record((commands) => {
      for (const move of full.moves) {
        if ('from' in move) commands.copyRows(move, scratch);
        else commands.clear(move.buffer, move.offset, move.bytes);
      }
    });
    const submitted = performance.now();
    for (const go of full.after) go();
    const { what, uploadedBytes, copiedBytes, begin } = full;
    const done = device.idle().then(() => {
      onMove({ what: [...what], uploadedBytes, copiedBytes, begin, submitted, end: performance.now() });
    });
    return { done };
  };
  const release = (): void => {
    const full = filling;
    if (full === undefined) return;
    filling = undefined;
    const emptying = emptied.then(() => empty(full));
    emptied = emptying.then(() => undefined);
    emptying
      .then(({ done }) => done)
      .then(() => {
        full.slot.busy = false;
      })
      .catch((error: unknown) => {
        failure ??= { error };
      })
      .finally(() => wake());
    // Whoever waits hears of errors; nobody may.
    emptied.catch(() => undefined);
  };
  const open = (slot: Slot): Filling => {
    filling = {
      slot,
      begin: performance.now(),
      what: new Set(),
      clears: new Set(),
      moves: [],
      after: [],
      used: 0,
      uploadedBytes: 0,
      copiedBytes: 0,
    };
    return filling;
  };
  /** The slot being filled, with room for so many more bytes in it, or that are copied. */
  const withRoom = async (urgency: number, bytes: number, copied: number): Promise<Filling> => {
    if (filling !== undefined) {
      if (filling.used + bytes <= slotBytes && filling.copiedBytes + copied <= slotBytes) return filling;
      release();
    }
    const slot = await takeSlot();
    await turns.take(urgency);
    return open(slot);
  };
  /** The same for a delivery, which has part in it from then on. */
  const join = async ({ name, clear, urgency }: Delivery, bytes = 0, copied = 0): Promise<Filling> => {
    const into = await withRoom(urgency, bytes, copied);
    into.what.add(name);
    into.clears.add(clear);
    return into;
  };

  return {
    async upload(delivery, { at: toAt, stride, runBytes, rows, bytes }) {
      const whole = { fromAt: 0, fromStride: runBytes, toAt, toStride: stride, runBytes, rows };
      for (const part of cut(whole, partBytes)) {
        const size = part.runBytes * part.rows;
        const into = await join(delivery, size);
        const at = into.used;
        into.used = roundUp(at + size, REGION_ALIGNMENT);
        into.uploadedBytes += size;
        device.write(into.slot.buffer, at, bytes.subarray(part.fromAt, part.fromAt + size));
        const from = { buffer: into.slot.buffer };
        into.moves.push(rowCopy(from, delivery.target, { ...part, fromAt: at, fromStride: part.runBytes }));
      }
    },
    async copy(delivery, { from, ...whole }) {
      for (const part of cut(whole, partBytes)) {
        const size = part.runBytes * part.rows;
        const into = await join(delivery, 0, size);
        into.copiedBytes += size;
        into.moves.push(rowCopy(from, delivery.target, part));
      }
    },
    async setAside({ from, ...whole }, to, at) {
      const into = await withRoom(-Infinity, 0, 0);
      into.moves.push(rowCopy(from, { buffer: to }, { ...whole, toAt: at, toStride: whole.runBytes }));
    },
    async zero(delivery, { at, bytes }) {
      const { buffer, offset } = delivery.target;
      (await join(delivery)).moves.push({ buffer, offset: offset + at, bytes });
    },
    whenSubmitted(go) {
      if (filling === undefined) void emptied.then(go, () => undefined);
      else filling.after.push(go);
    },
    finish() {
      release();
      return emptied;
    },
    free() {
      for (const { buffer } of slots) device.free(buffer);
      device.free(scratch);
    },
  };
}

/** Where a part of a copy comes from and goes to. */
type Runs = Pick<RowCopy, 'fromAt' | 'fromStride' | 'toAt' | 'toStride' | 'runBytes' | 'rows'>;

function rowCopy(from: BufferRange, to: BufferRange, runs: Runs): RowCopy {
  return {
    ...runs,
    from: from.buffer,
    fromAt: (from.offset ?? 0) + runs.fromAt,
    to: to.buffer,
    toAt: (to.offset ?? 0) + runs.toAt,
  };
}

/** Cuts a copy into parts of at most so many bytes: by rows, and rows that are too long themselves. */
function* cut(copy: Runs, most: number): Generator<Runs> {
  const { fromAt, fromStride, toAt, toStride, runBytes, rows } = copy;
  const rowsAtOnce = Math.floor(most / runBytes);
  if (rowsAtOnce > 0) {
    for (let row = 0; row < rows; row += rowsAtOnce) {
      const here = { fromAt: fromAt + row * fromStride, toAt: toAt + row * toStride };
      yield { ...copy, ...here, rows: Math.min(rowsAtOnce, rows - row) };
    }
    return;
  }
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < runBytes; at += most) {
      const here = { fromAt: fromAt + row * fromStride + at, toAt: toAt + row * toStride + at };
      yield { ...copy, ...here, runBytes: Math.min(most, runBytes - at), rows: 1 };
    }
  }
}
