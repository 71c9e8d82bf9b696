/** Code with colours. */
import { escapeHtml, textBlock } from "./report_text.ts";
import { tokenize, type TokenKind } from "./report_python.ts";

/** Code that long was not written by a person, and colours would make it several times as long. */
const MAX_COLOURED = 200_000;
const PYTHON = new Set(["", "python", "py", "python3", "ipython", "ipython3", "pycon"]);
const CLASSES: Readonly<Partial<Record<TokenKind, string>>> = {
  keyword: "k",
  constant: "kc",
  builtin: "nb",
  definition: "nf",
  decorator: "nd",
  string: "s",
  number: "m",
  comment: "c",
  magic: "mg",
  operator: "o",
};

/** A block of code; only Python has colours. */
export function codeHtml(code: string, language: string): string {
  const text = code.replace(/\n+$/, "");
  if (text.length > MAX_COLOURED) {
    return textBlock(text, { className: "code", terminal: false });
  }
  const inner = PYTHON.has(language)
    ? tokenize(text).map(({ kind, text }) => {
      const name = CLASSES[kind];
      return name === undefined
        ? escapeHtml(text)
        : `<span class="${name}">${escapeHtml(text)}</span>`;
    }).join("")
    : escapeHtml(text);
  return `<pre class="code"><code>${inner}</code></pre>`;
}
