/** The page that shows what a run has put out. */
import { basename, dirname, join } from "@std/path";
import type { Notebook } from "../notebook/document.ts";
import { PROGRAM, VERSION } from "../version.ts";

/** Writes the page of a notebook, so that a page that was there is replaced as a whole. */
export async function writeReport(notebook: Notebook, path: string, title: string): Promise<void> {
  // Loaded when it is wanted: most runs have no report.
  const { renderReport } = await import("../notebook/report.ts");
  const python = (notebook.metadata.language_info as { version?: unknown } | undefined)?.version;
  const day = new Date().toISOString().slice(0, 10);
  const subtitle = [
    day,
    ...(typeof python === "string" ? [`Python ${python}`] : []),
    `${PROGRAM} ${VERSION}`,
  ].join(" · ");
  const draft = join(dirname(path), `.${basename(path)}.${crypto.randomUUID().slice(0, 8)}`);
  try {
    await Deno.writeTextFile(draft, renderReport(notebook, { title, subtitle }));
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw error;
  }
}
