/** Texts of a report: escaping, terminal colours, and folding what is long. */
import { type Colour, plainText, renderAnsi, type Style } from "./ansi.ts";

/** Lines and characters of an output that are shown at once. */
const SHOWN_LINES = 120;
const SHOWN_CHARACTERS = 20_000;
/** Lines of a longer one that are shown before the fold. */
const HEAD_LINES = 20;
const HEAD_CHARACTERS = 4_000;
/** Characters of one output that a report keeps: the first and the last ones. */
const KEPT_CHARACTERS = 1_000_000;

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as HTML, in elements and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** A number of something: `1 line`, `12,345 lines`. */
export function counted(count: number, thing: string): string {
  return `${count.toLocaleString("en-US")} ${thing}${count === 1 ? "" : "s"}`;
}

/** Text of a terminal as HTML. */
export function ansiHtml(text: string): string {
  // The quick way for what has no control characters but line ends.
  if (!/[^\n\x20-\x7e\xa0-\uffff]/.test(text)) return escapeHtml(text);
  return renderAnsi(text).map((line) =>
    line.map((run) => {
      const marks = markOf(run.style);
      const inner = escapeHtml(run.text);
      return marks === "" ? inner : `<span${marks}>${inner}</span>`;
    }).join("")
  ).join("\n");
}

function markOf(style: Style): string {
  const classes: string[] = [];
  const styles: string[] = [];
  const paint = (colour: Colour, name: "color" | "background-color", letter: string) => {
    if (typeof colour === "number") classes.push(`a${letter}${colour}`);
    else styles.push(`${name}:${colour}`);
  };
  const { foreground, background, inverse = false } = onFixed(style);
  // Bold text in one of the first eight colours is bright on most terminals; here it is bold.
  if (!inverse) {
    if (foreground !== undefined) paint(foreground, "color", "f");
    if (background !== undefined) paint(background, "background-color", "b");
  } else {
    paint(background ?? "var(--page)", "color", "f");
    paint(foreground ?? "var(--text)", "background-color", "x");
  }
  for (const name of ["bold", "dim", "italic"] as const) if (style[name]) classes.push(`a-${name}`);
  const lines = [...style.underline ? ["underline"] : [], ...style.strike ? ["line-through"] : []];
  if (lines.length > 0) styles.push(`text-decoration:${lines.join(" ")}`);
  return (classes.length > 0 ? ` class="${classes.join(" ")}"` : "") +
    (styles.length > 0 ? ` style="${styles.join(";")}"` : "");
}

/** The sixteen colours where they stand on a fixed one, so that the theme cannot spoil the contrast. */
const FIXED = [
  "#000000 #cd0000 #00cd00 #cdcd00 #1e50ee #cd00cd #00cdcd #e5e5e5",
  "#7f7f7f #ff0000 #00ff00 #ffff00 #5c5cff #ff00ff #00ffff #ffffff",
].join(" ").split(" ");

/** On a fixed colour the text has a fixed one, too: the one it asks for, else what is readable. */
function onFixed(style: Style): Style {
  const behind = style.inverse ? style.foreground : style.background;
  const text = style.inverse ? style.background : style.foreground;
  if (typeof behind !== "string" || typeof text === "string") return style;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(behind.slice(at, at + 2), 16));
  const bright = red! * 0.299 + green! * 0.587 + blue! * 0.114 > 140;
  const colour = text === undefined ? bright ? "#000000" : "#ffffff" : FIXED[text];
  return { ...style, [style.inverse ? "background" : "foreground"]: colour };
}

/** Options of {@linkcode textBlock}. */
export interface TextBlockOptions {
  /** Class of the block. */
  readonly className: string;
  /** Whether the text has a terminal's escapes. @default true */
  readonly terminal?: boolean;
  /** What a screen reader calls it. */
  readonly label?: string;
}

/** A block of preformatted text; a long one is folded, of an endless one the middle is left out. */
export function textBlock(text: string, options: TextBlockOptions): string {
  const { className, terminal = true, label } = options;
  const kept = shortened(text).replace(/\n$/, "");
  const html = terminal ? ansiHtml(kept) : escapeHtml(kept);
  const name = label === undefined ? "" : ` aria-label="${escapeHtml(label)}"`;
  const block = (content: string) => `<pre class="${className}"${name}>${content}</pre>`;
  const lines = html.split("\n");
  const shown = terminal ? plainLength(html) : kept.length;
  if (lines.length <= SHOWN_LINES && shown <= SHOWN_CHARACTERS) return block(html);
  // Cut from the text: in HTML a cut could fall into an element.
  const head = headOf(terminal ? plainText(kept.slice(0, SHOWN_CHARACTERS)) : kept);
  const size = `${counted(lines.length, "line")}, ${bytes(text.length)}`;
  return `<div class="fold">${
    block(escapeHtml(head) + "\n…")
  }<details><summary>Show all (${size})` +
    `</summary>${block(html)}</details></div>`;
}

function plainLength(html: string): number {
  return html.length < SHOWN_CHARACTERS ? html.length : html.replace(/<[^>]*>/g, "").length;
}

function headOf(text: string): string {
  return text.split("\n", HEAD_LINES).join("\n").slice(0, HEAD_CHARACTERS);
}

/** The beginning and the end of a text that is too long to keep. */
export function shortened(text: string): string {
  if (text.length <= KEPT_CHARACTERS) return text;
  const half = KEPT_CHARACTERS / 2;
  const left = text.length - KEPT_CHARACTERS;
  return `${text.slice(0, half)}\n\n… ${counted(left, "character")} left out …\n\n${
    text.slice(-half)
  }`;
}

/** A size for people. */
export function bytes(count: number): string {
  if (count < 1000) return counted(count, "byte");
  return count < 1_000_000
    ? `${Math.round(count / 1000)} kB`
    : `${(count / 1_000_000).toFixed(1)} MB`;
}

/** A duration (seconds) for people. */
export function duration(seconds: number): string {
  if (seconds < 0.0005) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
