/** Pages of the host tier are claimed before they are filled. */
import { describe, expect, it } from 'vitest';
import { createHostList } from '../../../runtime/scheduler/host-list.js';

describe('host pages', () => {
  it('that are promised are found by those who claim pages, not by those who read', () => {
    const list = createHostList(4);
    const [page] = list.take(1)!;
    list.promise(page!, 'a');
    expect([list.claims.find('a'), list.find('a')]).toEqual([page, undefined]);
    list.share([page!]);
    expect(list.claims.holders(page!)).toBe(2);
    list.publish(page!, 'a');
    expect([list.claims.find('a'), list.find('a')]).toEqual([page, page]);
  });

  it('are promised no more when all have given them up, and then to be had for anything', () => {
    const list = createHostList(1);
    const [page] = list.take(1)!;
    list.promise(page!, 'a');
    list.share([page!]);
    list.give([page!]);
    expect(list.claims.find('a')).toBe(page);
    list.give([page!]);
    expect(list.claims.find('a')).toBeUndefined();
    expect(() => list.share([page!])).toThrow('page 0 shared but not published');
    expect(list.take(1)).toEqual([page]);
    list.promise(page!, 'b');
    expect(list.claims.find('b')).toBe(page);
  });

  it('are promised to hold what no other holds or will', () => {
    const list = createHostList(3);
    const [first, second, third] = list.take(3)!;
    list.promise(first!, 'a');
    list.promise(second!, 'a');
    list.publish(third!, 'a');
    expect(list.claims.find('a')).toBe(third);
    list.give([third!]);
    list.give([first!]);
    expect(list.claims.find('a')).toBe(third);
    list.promise(second!, 'a');
    list.promise(second!, 'b');
    expect(list.claims.find('b')).toBe(second);
  });

  it('are in use from the moment on at which they are filled, while somebody holds them', () => {
    const list = createHostList(4);
    const pages = list.take(3)!;
    expect([list.filled(), list.mostFilled(), list.free()]).toEqual([0, 0, 1]);
    list.fill(pages.slice(0, 2));
    list.fill(pages.slice(0, 1));
    expect(list.filled()).toBe(2);
    list.publish(pages[0]!, 'a');
    list.give(pages);
    expect([list.filled(), list.mostFilled()]).toEqual([0, 2]);
    list.share([pages[0]!]);
    expect(list.filled()).toBe(1);
    // The others hold nothing any more, whoever takes them.
    list.take(3);
    expect([list.filled(), list.mostFilled()]).toEqual([1, 2]);
    list.give([pages[0]!]);
    list.take(1);
    expect(list.filled()).toBe(0);
  });
});
