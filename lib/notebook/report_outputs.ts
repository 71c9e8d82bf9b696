/** What a cell has put out, as HTML of a report. */
import { type CellOutput, isJsonType, type MimeBundle } from "./document.ts";
import { pictureUrl, renderMarkdown } from "./markdown.ts";
import { cleanHtml } from "./report_html.ts";
import { bytes, escapeHtml, textBlock } from "./report_text.ts";

/** Pictures, best first: drawings stay sharp. */
const PICTURES = ["image/svg+xml", "image/png", "image/jpeg", "image/webp", "image/gif"];
/** Types that a script in a page would draw. */
const INTERACTIVE =
  /^application\/(?:javascript|vnd\.(?:plotly|vega|vegalite|bokehjs|holoviews|jupyter\.widget)[\w.+-]*)$/;
/** HTML longer than this would make a page that no browser opens with pleasure. */
const MAX_HTML = 3_000_000;

/** The outputs of a cell. */
export function outputsHtml(outputs: readonly CellOutput[]): string {
  return joined(outputs).map(outputHtml).join("\n");
}

/** Neighbours on one stream as one: a progress bar goes on where it was. */
function joined(outputs: readonly CellOutput[]): CellOutput[] {
  const found: CellOutput[] = [];
  for (const output of outputs) {
    const last = found.at(-1);
    if (
      output.output_type === "stream" && last?.output_type === "stream" && last.name === output.name
    ) {
      found[found.length - 1] = { ...last, text: last.text + output.text };
    } else found.push(output);
  }
  return found;
}

function outputHtml(output: CellOutput): string {
  if (output.output_type === "stream") {
    if (output.text === "") return "";
    const error = output.name === "stderr";
    return section(
      error ? "stderr" : "stdout",
      textBlock(output.text, {
        className: "text",
        label: error ? "standard error" : "standard output",
      }),
    );
  }
  if (output.output_type === "error") return errorHtml(output);
  const result = output.output_type === "execute_result";
  const html = bundleHtml(output.data, output.metadata);
  return html === "" ? "" : section(result ? "result" : "display", html);
}

function section(name: string, html: string): string {
  return `<section class="output ${name}">${html}</section>`;
}

function errorHtml(output: Extract<CellOutput, { output_type: "error" }>): string {
  const { ename, evalue } = output;
  const traceback = output.traceback.join("\n");
  const text = traceback.trim() === "" ? `${ename}: ${evalue}` : traceback;
  return section("error", textBlock(text, { className: "text", label: "traceback" }));
}

/** The best form of a bundle that a page without scripts can show. */
function bundleHtml(data: MimeBundle, metadata: Record<string, unknown>): string {
  const types = Object.keys(data);
  for (const type of PICTURES) {
    const url = pictureUrl(type, data[type]);
    if (url !== undefined) return pictureHtml(url, type, data, metadata);
  }
  const interactive = types.some((type) => INTERACTIVE.test(type));
  const html = textOf(data["text/html"]);
  let note = interactive ? INTERACTIVE_NOTE : "";
  if (html !== undefined && !interactive) {
    const clean = html.length > MAX_HTML ? undefined : cleanHtml(html);
    // A table without its styles is still a table; a drawing without its script is nothing.
    if (clean !== undefined && !clean.active && !clean.empty) {
      return `<section class="html">${clean.html}</section>`;
    }
    if (clean === undefined) note = noteHtml(`HTML of ${bytes(html.length)} is not shown here.`);
    else if (clean.active) note = INTERACTIVE_NOTE;
    // Without any other form, what is left of it is better than nothing.
    if (clean !== undefined && !clean.empty && textOf(data["text/plain"]) === undefined) {
      return `${note}<section class="html">${clean.html}</section>`;
    }
  }
  return note + fallbackHtml(data, types);
}

function fallbackHtml(data: MimeBundle, types: string[]): string {
  const markdown = textOf(data["text/markdown"]);
  if (markdown !== undefined) {
    return `<section class="markdown">${renderMarkdown(markdown).html}</section>`;
  }
  const latex = textOf(data["text/latex"]);
  if (latex !== undefined) return textBlock(latex, { className: "text latex", terminal: false });
  const plain = textOf(data["text/plain"]);
  const json = types.find((type) => isJsonType(type) && !INTERACTIVE.test(type));
  // The plain text of JSON is Python's, often cut.
  if (json !== undefined && (plain === undefined || /^<IPython\.core\.display\./.test(plain))) {
    const text = JSON.stringify(data[json], undefined, 2) ?? "null";
    return textBlock(text, { className: "text", terminal: false });
  }
  if (plain !== undefined) return plain === "" ? "" : textBlock(plain, { className: "text" });
  const others = types.filter((type) => type !== "text/html" && !INTERACTIVE.test(type));
  return others.length === 0
    ? ""
    : noteHtml(`Output of type ${others.join(", ")} is not shown here.`);
}

const INTERACTIVE_NOTE = noteHtml(
  "Interactive output: this page runs no scripts. Open the notebook to use it.",
);

function noteHtml(text: string): string {
  return `<p class="note">${escapeHtml(text)}</p>`;
}

function pictureHtml(
  url: string,
  type: string,
  data: MimeBundle,
  metadata: Record<string, unknown>,
): string {
  const { width, height } = (metadata[type] ?? {}) as Record<string, unknown>;
  const size = (name: string, value: unknown) =>
    typeof value === "number" && value > 0 && value < 10_000
      ? ` ${name}="${Math.round(value)}"`
      : "";
  const alt = textOf(data["text/plain"]) ?? type;
  return `<figure><img src="${url}" alt="${escapeHtml(alt.slice(0, 500))}"${size("width", width)}${
    size("height", height)
  }></figure>`;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
