/** The playground: an editor, and beside it what compiler and clock make of the text. */
import { basicSetup, EditorView } from 'codemirror';
import { lintGutter, setDiagnostics } from '@codemirror/lint';
import type { Answer, ShownPlan, SimulationAnswer } from '../compute.js';
import { examples } from './examples.js';
import { planLanguage } from './highlight.js';
import type { Question, Reply } from './messages.js';
import { followScheme, theme } from './theme.js';

/** Milliseconds without a keystroke before the text is compiled. */
const PAUSE = 150;

const LEVELS = ['plan', 'logical', 'sharded', 'transitions', 'runtime'] as const;
const VIEWS = [...LEVELS, 'graph', 'simulation'] as const;
type View = (typeof VIEWS)[number];

function element<Kind extends HTMLElement>(id: string): Kind {
  return document.getElementById(id) as Kind;
}

const status = element<HTMLOutputElement>('status');
const planChoice = element<HTMLSelectElement>('plan');
const exampleChoice = element<HTMLSelectElement>('example');
const frame = element<HTMLIFrameElement>('simulation');
const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });

let answer: Answer = { problems: [], report: '', plans: [] };
let view: View = 'plan';
/** Plan that the reader chose. The list may be without it for a while, as the text is while one types. */
let chosen: string | undefined;
/** Number of the newest question; every edit counts as one, so that no answer about an older text is shown. */
let asked = 0;
/** The worker has a question, and the one that follows: it answers one after the other. */
let working = false;
let waiting: Question | undefined;
/** The answer that is shown is of the text as it is. */
let isCurrent = false;
/** Text that the simulation shown, or asked for, belongs to. */
let simulated: string | undefined;
/** The newest simulation; that of an older text is shown until there is one of the text as it is. */
let simulation: SimulationAnswer | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

const editor = new EditorView({
  parent: element('editor'),
  doc: examples[0]!.text,
  extensions: [
    basicSetup,
    lintGutter(),
    planLanguage,
    theme,
    EditorView.updateListener.of((update) => {
      if (update.docChanged) compileSoon();
    }),
  ],
});

followScheme(editor);

const text = (): string => editor.state.doc.toString();

function ask(question: Question['ask']): void {
  status.value = question === 'compile' ? 'compiling …' : 'simulating …';
  waiting = { id: ++asked, ask: question, text: text() };
  sendWaiting();
}

function sendWaiting(): void {
  if (working || waiting === undefined) return;
  working = true;
  worker.postMessage(waiting);
  waiting = undefined;
}

function compileSoon(): void {
  asked++;
  isCurrent = false;
  simulated = undefined;
  clearTimeout(timer);
  timer = setTimeout(() => ask('compile'), PAUSE);
}

worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => {
  working = false;
  sendWaiting();
  if (data.id !== asked) return;
  if ('failed' in data) {
    status.value = 'the compiler failed';
    showProblems(data.failed);
    return;
  }
  if (data.ask === 'compile') showAnswer(data.answer);
  else showSimulation(data.answer);
});

function showAnswer(next: Answer): void {
  answer = next;
  isCurrent = true;
  const errors = next.problems.filter(({ severity }) => severity === 'error').length;
  status.value = errors > 0 ? `${errors} ${errors === 1 ? 'error' : 'errors'}` : 'compiles';
  showProblems(next.report);
  const marks = next.problems.map(({ start, end, severity, message }) => {
    const kind = severity === 'error' || severity === 'warning' ? severity : ('info' as const);
    return { from: start, to: end, severity: kind, message };
  });
  editor.dispatch(setDiagnostics(editor.state, marks));
  planChoice.replaceChildren(...next.plans.map(({ name }) => new Option(name)));
  if (chosen !== undefined && next.plans.some(({ name }) => name === chosen)) planChoice.value = chosen;
  showView();
}

function showProblems(report: string): void {
  const problems = element('problems');
  problems.textContent = report;
  problems.hidden = report === '';
}

function showSimulation(found: SimulationAnswer): void {
  status.value = 'page' in found ? 'simulated' : 'not simulated';
  simulation = found;
  if ('page' in found) frame.srcdoc = found.page;
  showView();
}

function whyNoSimulation(): string {
  return simulation !== undefined && 'why' in simulation ? simulation.why : '';
}

function levelOf(plan: ShownPlan | undefined): string {
  return plan?.levels[view] ?? 'No plan of this file compiles.';
}

function showView(): void {
  for (const button of element('views').querySelectorAll('button'))
    button.setAttribute('aria-selected', String(button.dataset['view'] === view));
  const plan = answer.plans.find(({ name }) => name === planChoice.value);
  // An empty frame is white, whatever the scheme is.
  frame.hidden = view !== 'simulation' || simulation === undefined || !('page' in simulation);
  const texts = element('text');
  texts.hidden = view === 'graph' || !frame.hidden;
  texts.classList.toggle('prose', view === 'simulation');
  texts.textContent = view === 'simulation' ? whyNoSimulation() : levelOf(plan);
  const graph = element('graph');
  graph.hidden = view !== 'graph';
  graph.innerHTML = plan?.drawings.join('') ?? '';
  if (view === 'simulation' && isCurrent && simulated !== text()) {
    simulated = text();
    ask('simulate');
  }
}

element('views').replaceChildren(
  ...VIEWS.map((name) => {
    const button = document.createElement('button');
    button.textContent = name;
    button.dataset['view'] = name;
    button.setAttribute('role', 'tab');
    button.addEventListener('click', () => {
      view = name;
      showView();
    });
    return button;
  }),
);
exampleChoice.replaceChildren(...examples.map(({ name }) => new Option(name)));
exampleChoice.addEventListener('change', () => {
  const insert = examples.find(({ name }) => name === exampleChoice.value)!.text;
  editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert } });
});
planChoice.addEventListener('change', () => {
  chosen = planChoice.value;
  showView();
});
ask('compile');
