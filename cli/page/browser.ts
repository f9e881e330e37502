/** What scripts of a page see of the browser: its types are not those of the program that writes the page. */

/** The drawing context of a canvas. */
export interface Pen {
  fillStyle: string;
  strokeStyle: string;
  font: string;
  textAlign: string;
  textBaseline: string;
  globalAlpha: number;
  lineWidth: number;
  setTransform(a: number, b: number, c: number, d: number, e: number, f: number): void;
  clearRect(x: number, y: number, width: number, height: number): void;
  fillRect(x: number, y: number, width: number, height: number): void;
  fillText(text: string, x: number, y: number): void;
  measureText(text: string): { readonly width: number };
  beginPath(): void;
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  closePath(): void;
  fill(): void;
  stroke(): void;
}

export interface PageEvent {
  readonly clientX: number;
  readonly clientY: number;
  readonly deltaY: number;
  /** 0: the main one. */
  readonly button: number;
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly pointerId: number;
  preventDefault(): void;
}

export interface Listens {
  addEventListener(
    type: string,
    listener: (event: PageEvent) => void,
    options?: { readonly passive: boolean },
  ): void;
}

export interface Canvas extends Listens {
  width: number;
  height: number;
  readonly clientWidth: number;
  readonly style: { height: string };
  getContext(kind: '2d'): Pen;
  getBoundingClientRect(): { readonly left: number; readonly top: number };
  setPointerCapture(pointer: number): void;
}

/** The element that says what the pointer is on. */
export interface Tip {
  textContent: string | null;
  hidden: boolean;
  readonly offsetWidth: number;
  readonly style: { left: string; top: string };
}
