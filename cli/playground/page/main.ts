/** The playground: an editor, and beside it what compiler and clock make of the text. */
import { basicSetup, EditorView } from 'codemirror';
import { lintGutter, setDiagnostics } from '@codemirror/lint';
import type { Answer, ShownPlan, SimulationAnswer } from '../compute.js';
import { createAsker } from './ask.js';
import { examples } from './examples.js';
import { planLanguage } from './highlight.js';
import type { Reply } from './messages.js';
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
const compiler = createAsker('compile', 'finishes', showCompiled);
const clock = createAsker('simulate', 'stops', showSimulated);

let answer: Answer = { problems: [], report: '', plans: [] };
let view: View = 'plan';
/** Plan that the reader chose. The list may be without it for a while, as the text is while one types. */
let chosen: string | undefined;
/** The answer that is shown is of the text as it is. */
let isCurrent = false;
/** What is said of the text as a whole. */
let verdict = '';
/** The newest simulation; that of an older text is shown until there is one of the text as it is. */
let simulation: SimulationAnswer | undefined;
/** How far that of the text as it is has come. */
let simulating: 'not asked' | 'asked' | 'answered' = 'not asked';
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

function compile(): void {
  compiler.ask(text());
}

function compileSoon(): void {
  compiler.drop();
  clock.drop();
  isCurrent = false;
  simulating = 'not asked';
  say('compiling …');
  clearTimeout(timer);
  timer = setTimeout(compile, PAUSE);
}

function say(next: string): void {
  verdict = next;
  showStatus();
}

function showStatus(): void {
  const ofClock = view === 'simulation' && isCurrent ? `, ${stateOfSimulation()}` : '';
  status.value = `${verdict}${ofClock}`;
}

function stateOfSimulation(): string {
  if (simulating !== 'answered') return 'simulating …';
  return simulation !== undefined && 'page' in simulation ? 'simulated' : 'not simulated';
}

function showCompiled(reply: Reply<'compile'>): void {
  if ('answer' in reply) {
    showAnswer(reply.answer);
    return;
  }
  say('the compiler failed');
  showProblems(reply.failed);
}

function showAnswer(next: Answer): void {
  answer = next;
  isCurrent = true;
  const errors = next.problems.filter(({ severity }) => severity === 'error').length;
  verdict = errors > 0 ? `${errors} ${errors === 1 ? 'error' : 'errors'}` : 'compiles';
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

function showSimulated(reply: Reply<'simulate'>): void {
  simulating = 'answered';
  simulation = 'answer' in reply ? reply.answer : { why: reply.failed };
  if ('page' in simulation) frame.srcdoc = simulation.page;
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
  if (view === 'simulation' && isCurrent && simulating === 'not asked') {
    simulating = 'asked';
    clock.ask(text());
  }
  showStatus();
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
say('compiling …');
compile();
