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
    const share = createPageShare(list, 5, 'part');
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

describe('published pages', () => {
  it('are found and shared while they are held and when they are free', () => {
    const list = createPageList(4);
    const [page] = list.take(1)!;
    list.publish(page!, 'a');
    expect(list.find('a')).toBe(page);
    list.share([page!]);
    expect([list.holders(page!), list.free()]).toEqual([2, 3]);
    list.give([page!]);
    list.give([page!]);
    expect([list.holders(page!), list.free(), list.find('a')]).toEqual([0, 4, page]);
    list.share([page!]);
    expect(list.free()).toBe(3);
    expect(() => list.share([3])).toThrow('page 3 shared but not published');
  });

  it('keep their key to themselves', () => {
    const list = createPageList(4);
    const [first, second] = list.take(2)!;
    list.publish(first!, 'a');
    list.publish(second!, 'a');
    expect(list.find('a')).toBe(first);
    list.give([second!]);
    list.give([first!]);
    // The one that nobody finds is taken before the other.
    expect(list.take(1)).toEqual([second]);
    expect(() => list.publish(3, 'b')).toThrow('page 3 published but not taken');
  });

  it('are taken last, those free for longest first and the end of a sequence before its beginning', () => {
    const list = createPageList(4);
    const pages = list.take(4)!;
    pages.forEach((page) => list.publish(page, `key ${page}`));
    list.give(pages.slice(0, 2));
    list.give(pages.slice(2));
    expect(list.take(1)).toEqual([1]);
    expect(list.take(2)).toEqual([3, 0]);
    expect([0, 1, 2, 3].map((page) => list.find(`key ${page}`))).toEqual([
      undefined,
      undefined,
      2,
      undefined,
    ]);
  });

  it('go in the order in which they were given, however they come and go', () => {
    const list = createPageList(5);
    const order = list.take(5)!;
    order.forEach((page) => list.publish(page, `first ${page}`));
    list.give([...order].reverse());
    const wanted: number[] = [];
    const taken: number[] = [];
    for (let round = 0; round < 40; round++) {
      // One is held for a while, which makes it the last to go.
      const held = order.splice(round % 5, 1)[0]!;
      list.share([held]);
      list.give([held]);
      order.push(held);
      if (round % 3 > 0) continue;
      const next = list.take(1)![0]!;
      taken.push(next);
      wanted.push(order.shift()!);
      list.publish(next, `${round} ${next}`);
      list.give([next]);
      order.push(next);
    }
    expect(taken).toEqual(wanted);
    expect(taken).toHaveLength(14);
    expect(list.take(5)!.reverse()).toEqual(order);
  });

  it('go before pages that were never taken where memory is to be saved', () => {
    const taken = (['fresh', 'published'] as const).map((spare) => {
      const list = createPageList(4, spare);
      const pages = list.take(1)!;
      list.publish(pages[0]!, 'a');
      list.give(pages);
      return list.take(1);
    });
    expect(taken).toEqual([[1], [0]]);
  });

  it('are forgotten when what they hold is lost', () => {
    const list = createPageList(2);
    const pages = list.take(2)!;
    pages.forEach((page) => list.publish(page, `key ${page}`));
    list.give([1]);
    list.withdraw(0);
    list.withdraw(1);
    expect([list.find('key 0'), list.find('key 1')]).toEqual([undefined, undefined]);
    list.give([0]);
    expect(list.take(2)).toEqual([0, 1]);
  });

  it('of a part are not found through another, and count once', () => {
    const list = createPageList(4);
    const parts = ['x', 'y'].map((name) => createPageShare(list, 3, name));
    const [page] = parts[0]!.take(1)!;
    parts[0]!.publish(page!, 'a');
    expect([list.find('a'), parts[1]!.find('a'), parts[0]!.find('a')]).toEqual([undefined, undefined, page]);
    parts[0]!.share([page!]);
    expect(parts[0]!.free()).toBe(2);
    parts[0]!.give([page!]);
    expect(parts[0]!.free()).toBe(2);
    parts[0]!.give([page!]);
    expect([parts[0]!.free(), parts[0]!.find('a')]).toEqual([3, page]);
    list.take(4);
    expect(parts[0]!.find('a')).toBeUndefined();
  });
});
