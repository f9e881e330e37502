/** Looks of the editor: the colours of the page, which follow what the reader's system asks for. */
import { EditorView } from 'codemirror';
import { Compartment, type Extension } from '@codemirror/state';

const LINE = '1px solid var(--line)';
const SURFACE = { backgroundColor: 'var(--panel)', color: 'var(--ink)' };
const CONTROL = { backgroundColor: 'var(--page)', color: 'var(--ink)', border: LINE, borderRadius: '6px' };

/** All that CodeMirror draws in colours of its own and that text may lie on: its own are made for white or for grey. */
const colours = EditorView.theme({
  '&': { fontSize: '13px' },
  '&.cm-focused': { outline: '1px dotted var(--faint)' },
  '.cm-content': { caretColor: 'var(--ink)' },
  '.cm-cursor, .cm-dropCursor': { borderLeftColor: 'var(--ink)' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': {
    background: 'var(--selected)',
  },
  '.cm-activeLine': { backgroundColor: 'var(--here)' },
  '.cm-specialChar': { color: 'var(--error)' },
  '.cm-gutters': { backgroundColor: 'var(--panel)', color: 'var(--faint)' },
  '.cm-gutters.cm-gutters-before': { borderRight: LINE },
  '.cm-activeLineGutter': { backgroundColor: 'var(--here)', color: 'var(--ink)' },
  '.cm-searchMatch, .cm-selectionMatch': { backgroundColor: 'var(--match)' },
  '.cm-searchMatch-selected': { backgroundColor: 'var(--match)', outline: '1px solid var(--accent)' },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'transparent', outline: '1px solid var(--faint)' },
  '&.cm-focused .cm-nonmatchingBracket': {
    backgroundColor: 'transparent',
    outline: '1px solid var(--error)',
  },
  '.cm-tooltip': { ...SURFACE, border: LINE },
  '.cm-tooltip-section:not(:first-child)': { borderTop: LINE },
  '.cm-panels': SURFACE,
  '.cm-panels-top': { borderBottom: LINE },
  '.cm-panels-bottom': { borderTop: LINE },
  '.cm-panels button[name=close]': { color: 'var(--ink)' },
  '.cm-button, .cm-button:active': { ...CONTROL, backgroundImage: 'none' },
  '.cm-textfield': CONTROL,
  '.cm-textfield::placeholder': { color: 'var(--faint)' },
});

const scheme = new Compartment();
const isDark = matchMedia('(prefers-color-scheme: dark)');
/** What has no colour here takes the one that CodeMirror has for the scheme. */
const forScheme = (): Extension => EditorView.darkTheme.of(isDark.matches);

export const theme: Extension = [colours, scheme.of(forScheme())];

/** Keeps the colours that CodeMirror chooses those of the scheme when that changes. */
export function followScheme(editor: EditorView): void {
  isDark.addEventListener('change', () => editor.dispatch({ effects: scheme.reconfigure(forScheme()) }));
}
