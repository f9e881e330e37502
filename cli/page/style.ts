/** Style of the page of a simulation, light and dark. */

const LIGHT = `
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2230; --muted: #687385; --line: #e2e6ec; --lane: #f1f3f6; --grid: #e6e9ee;
  --accent: #2b62d9; --cursor: #1b223088; --select: #2b62d926; --on-bar: #ffffff; --shadow: 0 1px 2px #1b22300d, 0 4px 16px #1b22300a;
  --k-prefill: #3b74e6; --k-mixed: #22a6d8; --k-decode: #12a594; --k-kernels: #7c92b5; --k-all_reduce: #e5622f; --k-send: #c9429a;
  --k-samples: #b5a300; --k-wait: #cf3a3a; --k-asked: #c0c9d8; --k-page_out: #f0a020; --k-page_in: #8fb521; --k-weights: #8b5cf6;
  --k-disk: #9a6b43; --k-host: #94a0b2;
  --c-gemm: #3b74e6; --c-attention: #12a594; --c-elementwise: #77b5e8; --c-all_reduce: #e5622f; --c-all_gather: #f2a07e; --c-send: #c9429a;
  --c-launch: #94a0b2; --c-pages: #f0a020; --c-wait: #8b5cf6; --c-bubbles: #dbe0e8; --c-tail: #eef0f4;
  --m-weights: #8b5cf6; --m-workspace: #77b5e8; --m-kv: #f0a020; --m-room: #f8e3bd;
  --kv-device: #f0a020; --kv-host: #3b74e6; --kv-disk: #9a6b43;
  --r-waiting: #d5dae3; --r-prefilling: #3b74e6; --r-moving: #f0a020; --r-host: #e9c27a; --r-disk: #9a6b43;
  --r-running: #12a594;`;

const DARK = `
  --page: #0f131a; --card: #171d27; --ink: #e7ebf2; --muted: #93a0b4; --line: #28313f; --lane: #1e2632; --grid: #283140;
  --accent: #7aa5ff; --cursor: #e7ebf288; --select: #7aa5ff33; --on-bar: #10151d; --shadow: none;
  --k-prefill: #5b8ff5; --k-mixed: #55c4ee; --k-decode: #26bfa9; --k-kernels: #71849f; --k-all_reduce: #f07f4f; --k-send: #e06ab8;
  --k-samples: #cdbd35; --k-wait: #ee6464; --k-asked: #4a576e; --k-page_out: #f4b04a; --k-page_in: #a8cd45; --k-weights: #a88bfa;
  --k-disk: #bb8b62; --k-host: #6d7a8f;
  --c-gemm: #5b8ff5; --c-attention: #26bfa9; --c-elementwise: #8cc4f2; --c-all_reduce: #f07f4f; --c-all_gather: #f9b797; --c-send: #e06ab8;
  --c-launch: #6d7a8f; --c-pages: #f4b04a; --c-wait: #a88bfa; --c-bubbles: #2b3546; --c-tail: #212937;
  --m-weights: #a88bfa; --m-workspace: #8cc4f2; --m-kv: #f4b04a; --m-room: #4d3f26;
  --kv-device: #f4b04a; --kv-host: #5b8ff5; --kv-disk: #bb8b62;
  --r-waiting: #37435a; --r-prefilling: #5b8ff5; --r-moving: #f4b04a; --r-host: #b58f4d; --r-disk: #8d6746;
  --r-running: #26bfa9;`;

export const STYLE = `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
:root[data-theme="light"] { color-scheme: light; ${LIGHT} }
:root[data-theme="dark"] { color-scheme: dark; ${DARK} }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 14px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1320px; margin: 0 auto; padding: 28px 28px 56px; }
header { display: flex; align-items: baseline; gap: 16px; flex-wrap: wrap; margin-bottom: 18px; }
h1 { font-size: 22px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 14px; margin: 0 0 2px; }
header p, .about { color: var(--muted); margin: 0; }
header button { margin-left: auto; }
button { font: inherit; font-size: 12px; color: var(--ink); background: var(--card); border: 1px solid var(--line);
  border-radius: 7px; padding: 3px 10px; cursor: pointer; }
button:hover { border-color: var(--accent); }
button:focus-visible, canvas:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px;
  box-shadow: var(--shadow); margin-bottom: 16px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-bottom: 16px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 12px 14px;
  box-shadow: var(--shadow); }
.tile b { display: block; font-size: 21px; line-height: 1.25; letter-spacing: -0.01em; font-weight: 650; }
.tile span { color: var(--muted); font-size: 12px; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 16px; }
@media (max-width: 900px) { .pair { grid-template-columns: minmax(0, 1fr); } main { padding: 16px; } }
.head { display: flex; align-items: center; gap: 6px; flex-wrap: wrap; margin-bottom: 8px; }
.head .about { font-size: 12px; flex: 1 1 0; min-width: 220px; }
.canvas { position: relative; }
canvas { display: block; width: 100%; cursor: crosshair; touch-action: pan-y; border-radius: 4px; }
.tip { position: absolute; pointer-events: none; white-space: pre; background: var(--ink); color: var(--card);
  font-size: 12px; line-height: 1.4; padding: 6px 9px; border-radius: 7px; max-width: 420px; z-index: 1; }
.legend { display: flex; flex-wrap: wrap; gap: 3px 14px; color: var(--muted); font-size: 12px; margin: 8px 0 0;
  padding: 0; list-style: none; }
.legend i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 5px; }
.bars { display: grid; grid-template-columns: fit-content(40%) minmax(80px, 1fr) fit-content(35%); gap: 7px 12px;
  align-items: center; margin-top: 10px; }
.bars .name { overflow-wrap: anywhere; font-size: 13px; line-height: 1.3; }
.bars .figure { text-align: right; color: var(--muted); font-size: 12px; }
@media (max-width: 700px) {
  .bars { grid-template-columns: minmax(0, 1fr) fit-content(45%); }
  .bars .name { grid-column: 1 / -1; margin-bottom: -5px; }
}
.bar { display: flex; height: 18px; border-radius: 5px; overflow: hidden; background: var(--lane); }
.bar span { display: block; height: 100%; color: var(--on-bar); font-size: 11px; line-height: 18px; text-align: center;
  overflow: hidden; white-space: nowrap; }
.bar span.quiet { color: var(--muted); }
.plans a { color: inherit; text-decoration: none; border-bottom: 1px solid var(--line); }
.plans a:hover { color: var(--accent); border-color: var(--accent); }
nav { display: flex; gap: 6px; flex-wrap: wrap; margin: 0 0 16px; }
nav button { max-width: 100%; overflow-wrap: anywhere; text-align: left; }
nav button[aria-selected="true"] { background: var(--accent); border-color: var(--accent); color: var(--card); }
table { border-collapse: collapse; width: 100%; margin-top: 8px; font-size: 13px; }
td, th { text-align: right; padding: 3px 0 3px 14px; border-bottom: 1px solid var(--line); font-weight: normal;
  white-space: nowrap; }
td:first-child, th:first-child { text-align: left; padding-left: 0; }
th { color: var(--muted); font-size: 12px; }
tr:last-child td { border-bottom: 0; }
.wide { overflow-x: auto; }
details summary { cursor: pointer; color: var(--muted); font-size: 12px; margin-top: 10px; }
@media print {
  :root, :root[data-theme] { color-scheme: light; ${LIGHT} }
  body { background: #fff; } .card, .tile { box-shadow: none; break-inside: avoid; }
}
`;
