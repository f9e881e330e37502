import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { parse } from '../../../grammar/parse.js';
import type { TopologyMember } from '../../../grammar/syntax.js';
import { STD_LIBRARY } from '../../../compiler/std/library.generated.js';
import { checkText, memoryHost } from './memory-host.js';

const folder = new URL('../../../plans/std/', import.meta.url);

/** Paths of the devices: `gpu`, or `node.gpu` where they stand in groups. */
function deviceArrays(members: readonly TopologyMember[]): readonly string[] {
  return members.flatMap((member) => {
    if (member.kind === 'devices') return [member.name.text];
    if (member.kind !== 'group') return [];
    return deviceArrays(member.members).map((inner) => `${member.name.text}.${inner}`);
  });
}

describe('the library', () => {
  it('inside the compiler is the one in plans/std', () => {
    const files = readdirSync(folder).sort();
    const texts = files.map((f) => [
      `std/${f.replace('.plan', '')}`,
      readFileSync(new URL(f, folder), 'utf8'),
    ]);
    expect(STD_LIBRARY, 'out of date: run `npm run generate:std`').toEqual(Object.fromEntries(texts));
  });

  for (const [name, text] of Object.entries(STD_LIBRARY))
    it(`${name} checks without a finding`, () => {
      expect(checkFile(memoryHost({ [name]: text }), name).diagnostics).toEqual([]);
    });

  it('has every topology usable: a fused plan on all its devices finds its routes', () => {
    const topologies = Object.entries(STD_LIBRARY).flatMap(([module, text]) =>
      parse(text, module).file.items.flatMap((item) =>
        item.kind === 'topology' ? [[module, item.name.text, deviceArrays(item.members)] as const] : [],
      ),
    );
    expect(topologies.length).toBeGreaterThan(6);
    for (const [module, name, [gpu]] of topologies) {
      const { diagnostics, plans } = checkText(`
        import { ${name} } from "${module}"
        model clerk { source: "clerk" }
        plan p for clerk on ${name} {
          stage prefill on ${gpu} { mesh (dp: fill, pp: 2) }
          stage decode on ${gpu} { mesh (dp: fill, tp: 2) }
        }`);
      expect(diagnostics).toEqual([]);
      expect(plans).toHaveLength(1);
    }
  });

  it('names what a library file imports as its own too', () => {
    const { diagnostics } = checkText('import { l4, g6_48xlarge } from "std/aws"');
    expect(diagnostics).toEqual([]);
  });
});
