/**
 * Which steps have yet to pass a device. A step enters all its devices when it is given out and leaves each once its
 * last command there is submitted; what must come after the steps given out so far waits for them, device by device.
 */
export interface Passages {
  /** Enters a step; the result takes it off the device again and may be called twice. */
  enter(device: number): () => void;
  /** Resolves when every step that has entered the device so far has left it. Never rejects. */
  cleared(device: number): Promise<void>;
}

export function createPassages(): Passages {
  const inside = new Map<number, Set<Promise<void>>>();
  return {
    enter(device) {
      const here = inside.get(device) ?? new Set();
      inside.set(device, here);
      let leave: () => void = () => undefined;
      const passage = new Promise<void>((resolve) => {
        leave = resolve;
      });
      here.add(passage);
      return () => {
        here.delete(passage);
        leave();
      };
    },
    async cleared(device) {
      await Promise.all(inside.get(device) ?? []);
    },
  };
}
