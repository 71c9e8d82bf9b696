/**
 * A notebook with its outputs as one HTML page that can be sent around: it needs nothing but itself, and nothing in
 * it runs. What cells have put out is not trusted: see `report_html.ts`, and the policy of the page is a second wall.
 */
import { type Cell, type CodeCell, type Notebook, tagsOf } from "./document.ts";
import { type Heading, renderMarkdown } from "./markdown.ts";
import { codeHtml } from "./report_code.ts";
import { outputsHtml } from "./report_outputs.ts";
import { STYLE } from "./report_style.ts";
import { counted, duration, escapeHtml } from "./report_text.ts";

/** Options of {@linkcode renderReport}. */
export interface ReportOptions {
  /** Title of the page, such as the name of the notebook. */
  readonly title: string;
  /** A line below it, such as when and where it was run. @default none */
  readonly subtitle?: string | undefined;
}

/** Headings that a table of contents lists. */
const LISTED_LEVELS = 3;
/** Fewer headings need no table of contents. */
const MIN_LISTED = 2;
/** No scripts, no frames, nothing from anywhere; styles and pictures only from the page itself. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/** Renders a notebook as a page. Takes any notebook, also one with hostile contents. */
export function renderReport(notebook: Notebook, options: ReportOptions): string {
  const { title, subtitle } = options;
  const headings: Heading[] = [];
  let count = 0;
  const nextId = () => `section-${++count}`;
  const cells = notebook.cells.map((cell) => cellHtml(cell, nextId, headings)).join("\n");
  const contents = contentsHtml(headings);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(title)}</title>
<style>
${STYLE}</style>
</head>
<body${contents === "" ? "" : ' class="with-contents"'}>
<header>
<h1>${escapeHtml(title)}</h1>
${subtitle ? `<p class="subtitle">${escapeHtml(subtitle)}</p>\n` : ""}${
    factsHtml(notebook, subtitle ?? "")
  }
</header>
${contents}<main>
${cells}
</main>
</body>
</html>
`;
}

/** What there is to know at a glance: cells, time, Python, failures. */
function factsHtml({ cells, metadata }: Notebook, subtitle: string): string {
  const code = cells.filter((cell) => cell.cell_type === "code");
  const failed = code.filter((cell) => cell.outputs.some((one) => one.output_type === "error"));
  const times = code.map(durationOf).filter((time) => time !== undefined);
  const language = metadata.language_info as Record<string, unknown> | undefined;
  const version = typeof language?.version === "string" ? language.version : undefined;
  const facts = [
    counted(code.length, "code cell"),
    ...times.length === 0 ? [] : [duration(times.reduce((sum, time) => sum + time, 0))],
    // Not twice below each other.
    ...version === undefined || subtitle.includes(`Python ${version}`) ? [] : [`Python ${version}`],
  ].filter((fact) => fact !== "").map((fact) => `<li>${escapeHtml(fact)}</li>`);
  if (failed.length > 0) {
    facts.unshift(
      `<li class="failed"><a href="#${errorId(failed[0]!)}">${
        counted(failed.length, "error")
      }</a></li>`,
    );
  }
  return `<ul class="facts">${facts.join("")}</ul>`;
}

function contentsHtml(headings: readonly Heading[]): string {
  const listed = headings.filter(({ level, text }) => level <= LISTED_LEVELS && text !== "");
  if (listed.length < MIN_LISTED) return "";
  const top = Math.min(...listed.map(({ level }) => level));
  const items = listed.map(({ level, text, id }) =>
    `<li class="level-${level - top + 1}"><a href="#${id}">${escapeHtml(text)}</a></li>`
  );
  return `<nav aria-label="Contents"><ol>${items.join("")}</ol></nav>\n`;
}

function cellHtml(cell: Cell, nextId: () => string, headings: Heading[]): string {
  if (cell.cell_type === "code") return codeCellHtml(cell);
  if (cell.source.trim() === "") return "";
  if (cell.cell_type === "raw") {
    return `<section class="cell raw"><pre class="text">${escapeHtml(cell.source)}</pre></section>`;
  }
  const { attachments = {} } = cell;
  const { html, headings: found } = renderMarkdown(cell.source, { attachments, nextId });
  headings.push(...found);
  return `<section class="cell markdown">${html}</section>`;
}

function codeCellHtml(cell: CodeCell): string {
  const outputs = outputsHtml(cell.outputs);
  if (cell.source.trim() === "" && outputs === "") return "";
  const failed = cell.outputs.some((one) => one.output_type === "error");
  const number = cell.execution_count === null ? " " : String(cell.execution_count);
  const time = durationOf(cell);
  const shown = time === undefined ? "" : duration(time);
  const parameters = tagsOf(cell).some((tag) => /^(?:injected-)?parameters$/.test(tag));
  const notes = [...parameters ? ["parameters"] : [], ...shown === "" ? [] : [shown]];
  return `<section class="cell code-cell${failed ? " failed" : ""}"${
    failed ? ` id="${errorId(cell)}"` : ""
  }>
<section class="source"><span class="count">[${escapeHtml(number)}]</span>${
    codeHtml(cell.source, "")
  }${notes.length === 0 ? "" : `<span class="time">${notes.join(" · ")}</span>`}</section>
${outputs}
</section>`;
}

function errorId({ id }: CodeCell): string {
  return `error-${id.replace(/[^\w-]/g, "")}`;
}

/** How long a cell took (seconds), as those who run notebooks write it down. */
function durationOf({ metadata }: CodeCell): number | undefined {
  const { execution, papermill } = metadata as Record<string, Record<string, unknown> | undefined>;
  const started = timeOf(execution?.["iopub.execute_input"] ?? execution?.["iopub.status.busy"]);
  const ended = timeOf(execution?.["shell.execute_reply"] ?? execution?.["iopub.status.idle"]);
  if (started !== undefined && ended !== undefined && ended >= started) {
    return (ended - started) / 1000;
  }
  const seconds = papermill?.duration;
  return typeof seconds === "number" && seconds >= 0 ? seconds : undefined;
}

function timeOf(value: unknown): number | undefined {
  const time = typeof value === "string" ? Date.parse(value) : NaN;
  return Number.isNaN(time) ? undefined : time;
}
