/** FC06: KV cache and tiers. */
import { error, named, warning } from './entry.js';

export const KV = {
  'kv-does-not-fit': error<{ stage: string; room: string; needed: string; tokens: number }>(
    'FC0601',
    ({ stage, room, needed, tokens }) =>
      `${named('stage', stage)} has ${room} left for KV on a device, and ${tokens} tokens need ${needed}`,
  ),
  'kv-tight': warning<{ stage: string; tokens: number; context: number }>(
    'FC0602',
    ({ stage, tokens, context }) =>
      `${named('stage', stage)} has room for ${tokens} tokens of KV, less than one sequence of ${context}`,
  ),
  'unknown-tier': error<{ tier: string; topology: string }>(
    'FC0603',
    ({ tier, topology }) => `topology \`${topology}\` has no tier or device called \`${tier}\``,
  ),
  'cap-exceeds-capacity': error<{ tier: string; cap: string; capacity: string }>(
    'FC0604',
    ({ tier, cap, capacity }) => `\`${tier}\` is to hold up to ${cap} but has only ${capacity}`,
  ),
  'first-tier-not-device': error<{ tier: string }>(
    'FC0605',
    ({ tier }) => `KV is born in device memory: the chain cannot begin with \`${tier}\``,
  ),
  'tier-repeated': error<{ tier: string }>('FC0606', ({ tier }) => `\`${tier}\` stands in the chain twice`),
  'kv-needs-tier': error<{ from: string; to: string }>(
    'FC0607',
    ({ from, to }) =>
      `\`${from}\` and \`${to}\` hold KV in different places, and no host tier is there to hand it over`,
  ),
  'cap-on-device': error<{ tier: string }>(
    'FC0608',
    ({ tier }) =>
      `\`up to\` caps host and disk tiers; device memory (\`${tier}\`) is capped by \`memory_use\``,
  ),
  'no-page-to-hand-over': error<{ tier: string; from: string; to: string; needed: string }>(
    'FC0609',
    ({ tier, from, to, needed }) =>
      `\`${from}\` hands its KV to \`${to}\` through \`${tier}\`, which has no room for a page of ${needed}`,
  ),
  'hand-over-tight': warning<{ tier: string; from: string; to: string; tokens: number; context: number }>(
    'FC0610',
    ({ tier, from, to, tokens, context }) =>
      `\`${tier}\` has room for ${tokens} tokens of KV between \`${from}\` and \`${to}\`, less than one sequence of ${context}`,
  ),
  'tier-not-beside': error<{ tier: string; stage: string; place: string }>(
    'FC0611',
    ({ tier, stage, place }) =>
      `KV of ${named('stage', stage)} goes to tier \`${tier}\` beside its devices, and ${place} has none`,
  ),
};
