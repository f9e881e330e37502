import { describe, expect, it } from 'vitest';
import { createPageList, createPageShare } from '../../../runtime/scheduler/pages.js';

describe('page list', () => {
  it('hands out every page once, in runs', () => {
    const list = createPageList(5);
    expect(list.take(2)).toEqual([0, 1]);
    expect(list.take(3)).toEqual([2, 3, 4]);
    expect(list.free()).toBe(0);
    expect(list.take(1)).toBeUndefined();
  });

  it('takes nothing when there are too few, and no page for no need', () => {
    const list = createPageList(2);
    expect(list.take(3)).toBeUndefined();
    expect(list.take(0)).toEqual([]);
    expect(list.free()).toBe(2);
  });

  it('reuses given pages in the order they had', () => {
    const list = createPageList(6);
    const first = list.take(3)!;
    list.take(3);
    list.give(first);
    expect(list.take(3)).toEqual([0, 1, 2]);
  });

  it('goes on with pages never taken where those given back are too few', () => {
    const list = createPageList(6);
    list.give(list.take(2)!);
    expect(list.take(4)).toEqual([0, 1, 2, 3]);
    expect(list.free()).toBe(2);
  });

  it('may have more pages than an array has elements', () => {
    const total = 2 ** 40;
    const list = createPageList(total);
    expect(list.take(2)).toEqual([0, 1]);
    expect(list.free()).toBe(total - 2);
  });

  it('refuses a page that is not taken', () => {
    const list = createPageList(2);
    const pages = list.take(1)!;
    list.give(pages);
    expect(() => list.give(pages)).toThrow('page 0 given back but not taken');
  });
});

describe('a share of a page list', () => {
  it('takes from the list, no more than its part and no more than there is', () => {
    const list = createPageList(8);
    const share = createPageShare(list, 5);
    expect([share.total, share.free()]).toEqual([5, 5]);
    const pages = share.take(4)!;
    expect([share.free(), list.free()]).toEqual([1, 4]);
    expect(share.take(2)).toBeUndefined();
    list.take(4);
    expect(share.free()).toBe(0);
    share.give(pages);
    expect([share.free(), list.free()]).toEqual([4, 4]);
  });
});
