/** `mesh auto`, held against simulations of the meshes that it leaves out. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runInProcess } from './run-program.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-mesh-auto-'));
afterAll(() => rmSync(folder, { recursive: true }));

it.each([
  // By rough estimates alone the second is quickest, and the first where these know nothing of the order of arrival.
  [80, 200, ['(pp: 4, tp: 2)', '(dp: 2, pp: 2, tp: 2)', '(dp: 4, tp: 2)', '(dp: 8)']],
  [700, 20, ['(pp: 4, tp: 2)', '(dp: 4, tp: 2)', '(dp: 8)']],
])(
  'with %i answers of %i tokens takes the mesh that is quickest by simulation',
  async (requests, output, meshes) => {
    const stage = (mesh: string): string =>
      `stage serve: prefill + decode on gpu { mesh ${mesh}, microbatch: 1024 tokens, batch: 128 requests }`;
    const file = join(folder, `${requests}.plan`);
    writeFileSync(
      file,
      `import { g6_48xlarge } from "std/aws"
import { llama3_8b } from "std/models"
workload w { requests: ${requests}, prompt: 2500 tokens, output: ${output} tokens }
plan chosen for llama3_8b on g6_48xlarge { ${stage('auto')}
  flow requests -> serve -> results }
${meshes.map((mesh, place) => `plan by_hand_${place} from chosen { ${stage(mesh)} }`).join('\n')}
`,
    );
    const run = await runInProcess('simulate', file, '--json');
    expect(run.status).toBe(0);
    const { plans } = JSON.parse(run.out) as { plans: { requestsPerSecond: number }[] };
    const [chosen, ...others] = plans.map(({ requestsPerSecond }) => requestsPerSecond);
    expect(others).toHaveLength(meshes.length);
    expect(new Set(others).size).toBe(meshes.length);
    expect(chosen).toBe(Math.max(...others));
  },
);
