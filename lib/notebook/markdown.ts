/**
 * Markdown cells as harmless HTML: GitHub's dialect as Jupyter shows it, with formulas as they were written.
 */
import { Marked, type Tokens } from "marked";
import type { MimeBundle } from "./document.ts";
import { cleanHtml } from "./report_html.ts";
import { codeHtml } from "./report_code.ts";
import { escapeHtml, textBlock } from "./report_text.ts";

/** A heading, for a table of contents. */
export interface Heading {
  /** 1 to 6. */
  readonly level: number;
  /** Its text, without markup. */
  readonly text: string;
  /** Name of its place in the page. */
  readonly id: string;
}

/** A cell as HTML. */
export interface RenderedMarkdown {
  readonly html: string;
  readonly headings: readonly Heading[];
}

/** Options of {@linkcode renderMarkdown}. */
export interface MarkdownOptions {
  /** Pictures of the cell, by name. */
  readonly attachments?: Readonly<Record<string, MimeBundle>>;
  /** Makes the name of the next heading. @default headings have none */
  readonly nextId?: () => string;
}

/** Longer texts are shown as they are: no person has written them. */
const MAX_LENGTH = 100_000;
/** Formulas: nothing in them is Markdown, although it may look so. */
const DISPLAY_MATH = /^(?:\$\$[^]+?\$\$|\\begin\{([a-z]+\*?)\}[^]*?\\end\{\1\})/;
const INLINE_MATH = /^\$(?![\s$])(?:\\[^]|[^\\$\n]|\n(?!\n))*?[^\s\\]\$(?!\d)|^\$[^\s\\$]\$(?!\d)/;

/** Renders a cell. Takes any text. */
export function renderMarkdown(source: string, options: MarkdownOptions = {}): RenderedMarkdown {
  if (source.length > MAX_LENGTH) {
    return { html: textBlock(source, { className: "text", terminal: false }), headings: [] };
  }
  const blocks: string[] = [];
  const html = parser(blocks).parse(source, { async: false });
  const clean = cleanHtml(html, { picture: (address) => attachment(address, options.attachments) });
  const headings: Heading[] = [];
  const named = clean.html.replace(
    // Written by cleanHtml, so every heading is closed and the code has no ">" in attributes.
    /<h([1-6])((?: [a-z]+="[^"]*")*)>([^]*?)<\/h\1>/g,
    (all: string, level: string, attributes: string, inner: string) => {
      const id = options.nextId?.();
      if (id === undefined) return all;
      headings.push({ level: Number(level), text: textOf(inner), id });
      return `<h${level} id="${id}"${attributes}>${inner}</h${level}>`;
    },
  );
  // Coloured code is this page's own HTML, and comes in when the strangers' has been cleaned.
  return {
    html: named.replace(/\ue000(\d+)\ue001/g, (_all, at) => blocks[Number(at)] ?? ""),
    headings,
  };
}

/** A parser of Markdown; code with colours goes to `blocks`, and a mark for it into the text. */
function parser(blocks: string[]): Marked {
  const marked = new Marked({ gfm: true });
  const math = (name: string, level: "block" | "inline", pattern: RegExp) => ({
    name,
    level,
    start: (text: string) => {
      // A block ends the paragraph before it, so it must begin a line.
      const at = text.search(level === "block" ? /^(?:\$\$|\\begin\{)/m : /\$|\\begin\{/);
      return at < 0 ? undefined : at;
    },
    tokenizer: (text: string) => {
      const raw = pattern.exec(text)?.[0];
      return raw === undefined ? undefined : { type: name, raw };
    },
    renderer: ({ raw }: Tokens.Generic) =>
      level === "block"
        ? `<div class="math">${escapeHtml(raw.trim())}</div>\n`
        : `<span class="math">${escapeHtml(raw)}</span>`,
  });
  marked.use({
    extensions: [
      math("displayMath", "block", DISPLAY_MATH),
      math("displayMathInText", "inline", DISPLAY_MATH),
      math("inlineMath", "inline", INLINE_MATH),
    ],
    hooks: {
      // The marks are private characters that a text has no right to.
      preprocess: (text) => text.replace(/[\ue000\ue001]/g, "\ufffd"),
    },
    renderer: {
      code({ text, lang }: Tokens.Code) {
        const language = /^\w+/.exec(lang ?? "")?.[0].toLowerCase();
        blocks.push(codeHtml(text, language === undefined ? "" : language));
        return `\ue000${blocks.length - 1}\ue001`;
      },
      // A box to tick is a control; the page shows its state.
      checkbox({ checked }: Tokens.Checkbox) {
        return `<span class="task">${checked ? "☑" : "☐"}</span> `;
      },
    },
  });
  return marked;
}

function textOf(html: string): string {
  const text = html.replace(/<\/?(?:br|p|div|li|td)\b[^>]*>/g, " ").replace(/<[^>]*>/g, "")
    .replace(/\s+/g, " ").trim();
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_all, name: string) => PLAIN[name]!);
}

const PLAIN: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  "#39": "'",
};

/** The data URL of `attachment:name`. */
function attachment(
  address: string,
  attachments: Readonly<Record<string, MimeBundle>> = {},
): string | undefined {
  if (!address.startsWith("attachment:")) return undefined;
  const name = decoded(address.slice("attachment:".length));
  const bundle = Object.hasOwn(attachments, name) ? attachments[name]! : {};
  for (const [type, data] of Object.entries(bundle)) {
    const url = pictureUrl(type, data);
    if (url !== undefined) return url;
  }
  return undefined;
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** The data URL of a picture in a MIME bundle; `undefined` when it is none. */
export function pictureUrl(type: string, data: unknown): string | undefined {
  if (typeof data !== "string") return undefined;
  if (type === "image/svg+xml") {
    return `data:image/svg+xml;base64,${new TextEncoder().encode(data).toBase64()}`;
  }
  if (!/^image\/(?:png|jpeg|gif|webp)$/.test(type)) return undefined;
  const base64 = data.replace(/\s+/g, "");
  return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? `data:${type};base64,${base64}` : undefined;
}
