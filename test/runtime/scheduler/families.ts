/** Prompts of families: two agree in as many tokens from the start as both have alike, in what they say and in their keys. */
import type { FakeRequest } from './tracks.js';

export interface Kinship {
  readonly id: number;
  readonly promptTokens: number;
  /** A letter; '' for a prompt that is like no other. */
  readonly family: string;
  readonly alike: number;
}

export function promptOf(
  { id, promptTokens, family, alike }: Kinship,
  pageTokens: number,
): Required<Pick<FakeRequest, 'pageKeys' | 'promptIds'>> {
  const common = family === '' ? 0 : alike;
  return {
    pageKeys: Array.from({ length: Math.floor(promptTokens / pageTokens) }, (_, page) =>
      (page + 1) * pageTokens <= common ? `${family}${page}` : `${id}/${page}`,
    ),
    promptIds: Array.from({ length: promptTokens }, (_, token) =>
      token < common ? family.charCodeAt(0) * 1000 + token : (id + 1) * 1e6 + token,
    ),
  };
}
