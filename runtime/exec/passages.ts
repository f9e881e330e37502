/**
 * Which steps have yet to pass a device. A step enters all its devices when it is given out and leaves each once nothing
 * of it is needed there any more; what must come after the steps given out so far waits for them, device by device.
 */
export interface Passages {
  /** Enters a step of a residence; the result takes it off the device again and may be called twice. */
  enter(device: number, residence: string): () => void;
  /** Resolves when every step that has entered the device so far has left it. Never rejects. */
  cleared(device: number): Promise<void>;
  /**
   * Resolves when no step of another residence that has entered the device so far is left there; undefined when none
   * is. Never rejects.
   */
  clearedOfOthers(device: number, residence: string): Promise<void> | undefined;
}

interface Passage {
  readonly residence: string;
  readonly left: Promise<void>;
}

export function createPassages(): Passages {
  const inside = new Map<number, Set<Passage>>();
  const all = async (passages: Iterable<Passage>): Promise<void> => {
    await Promise.all([...passages].map(({ left }) => left));
  };
  return {
    enter(device, residence) {
      const here = inside.get(device) ?? new Set();
      inside.set(device, here);
      let leave: () => void = () => undefined;
      const left = new Promise<void>((resolve) => {
        leave = resolve;
      });
      const passage = { residence, left };
      here.add(passage);
      return () => {
        here.delete(passage);
        leave();
      };
    },
    cleared: (device) => all(inside.get(device) ?? []),
    clearedOfOthers(device, residence) {
      const others = [...(inside.get(device) ?? [])].filter((passage) => passage.residence !== residence);
      return others.length === 0 ? undefined : all(others);
    },
  };
}
