/** Names in Markdown as they are written, whatever GitHub's flavour would make of them. */

/**
 * Puts a backslash before what begins or ends something else than text: code, emphasis, links, struck out text, cells,
 * HTML and references to characters. An underscore inside a word is one anyway, and stays readable in the source.
 */
export function escapeMarkdown(text: string): string {
  return text.replaceAll(
    /[\\`*[\]~|]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])|<(?=[a-z/!?])|&(?=#?\w+;)/giu,
    '\\$&',
  );
}
