/**
 * A notebook in memory: the JSON of Jupyter's notebook format 4 (nbformat), with every text as one string.
 *
 * Files hold texts as lists of lines; `document_read.ts` joins them and `document_write.ts` takes them apart again.
 */

/** A MIME bundle: texts by type, JSON types (`application/json`, `…+json`) as values. */
export type MimeBundle = Record<string, unknown>;

/** Text on standard output or error; neighbours of one stream are one output. */
export interface StreamOutput {
  output_type: "stream";
  name: "stdout" | "stderr";
  text: string;
}

/** Something displayed. */
export interface DisplayDataOutput {
  output_type: "display_data";
  data: MimeBundle;
  metadata: Record<string, unknown>;
}

/** The value of the last expression. */
export interface ExecuteResultOutput {
  output_type: "execute_result";
  data: MimeBundle;
  metadata: Record<string, unknown>;
  execution_count: number | null;
}

/** Why a cell failed. */
export interface ErrorOutput {
  output_type: "error";
  ename: string;
  evalue: string;
  /** Lines, or blocks of lines; may have ANSI colours. */
  traceback: string[];
}

/** One output of a cell. */
export type CellOutput = StreamOutput | DisplayDataOutput | ExecuteResultOutput | ErrorOutput;

interface CellBase {
  /** Unique in the notebook: 1 to 64 letters, digits, `-` and `_`. */
  id: string;
  metadata: Record<string, unknown>;
  source: string;
}

/** A cell of code with what it has put out. */
export interface CodeCell extends CellBase {
  cell_type: "code";
  outputs: CellOutput[];
  /** The number in `In [n]`; `null` when it was not run. */
  execution_count: number | null;
}

/** A cell of text in Markdown; `attachments` are MIME bundles by file name. */
export interface MarkdownCell extends CellBase {
  cell_type: "markdown";
  attachments?: Record<string, MimeBundle>;
}

/** A cell that is neither run nor rendered. */
export interface RawCell extends CellBase {
  cell_type: "raw";
  attachments?: Record<string, MimeBundle>;
}

/** A cell. */
export type Cell = CodeCell | MarkdownCell | RawCell;

/** A notebook. */
export interface Notebook {
  nbformat: 4;
  /** At least 5, since cells have ids. */
  nbformat_minor: number;
  metadata: Record<string, unknown>;
  cells: Cell[];
}

/** What is known of the Python that runs a notebook. */
export interface PythonLanguage {
  /** Such as `3.11.9`; `undefined` when none has run. */
  readonly version: string | undefined;
}

/** A new id of a cell, as Jupyter makes them. */
export function newCellId(): string {
  return crypto.randomUUID().slice(0, 8);
}

/** A code cell that has not been run. */
export function codeCell(source: string, metadata: Record<string, unknown> = {}): CodeCell {
  return {
    cell_type: "code",
    id: newCellId(),
    metadata,
    source,
    outputs: [],
    execution_count: null,
  };
}

/** A notebook of some cells, for Python. */
export function newNotebook(cells: Cell[], language: PythonLanguage): Notebook {
  const notebook: Notebook = { nbformat: 4, nbformat_minor: 5, metadata: {}, cells };
  describeLanguage(notebook, language);
  return notebook;
}

/** Writes into a notebook's metadata which language it is in; the kernel its author chose stays. */
export function describeLanguage({ metadata }: Notebook, { version }: PythonLanguage): void {
  metadata.kernelspec ??= { display_name: "Python 3", language: "python", name: "python3" };
  if (version === undefined && metadata.language_info !== undefined) return;
  metadata.language_info = {
    codemirror_mode: { name: "ipython", version: 3 },
    file_extension: ".py",
    mimetype: "text/x-python",
    name: "python",
    nbconvert_exporter: "python",
    pygments_lexer: "ipython3",
    ...(version === undefined ? {} : { version }),
  };
}

/** Whether a MIME type holds a JSON value, where others hold text. */
export function isJsonType(type: string): boolean {
  return /^application\/(?:.+\+)?json$/.test(type);
}

/** The tags of a cell. */
export function tagsOf({ metadata }: Cell): string[] {
  const { tags } = metadata;
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string") : [];
}
