/** Verbatim output of the real programs, as a finished execution. */
import { LineSplitter } from "../../lib/managers/lines.ts";
import type { Execution } from "../../lib/managers/manager.ts";

function lines(text: string): string[] {
  const result: string[] = [];
  const splitter = new LineSplitter((line) => result.push(line));
  splitter.push(text);
  splitter.end();
  return result;
}

/** Reads a transcript, for example `mamba-2.8.1/create-cold`. */
export async function transcript(name: string): Promise<Execution> {
  const read = (ending: string) =>
    Deno.readTextFile(new URL(`./transcripts/${name}.${ending}`, import.meta.url));
  const stdout = lines(await read("stdout"));
  const stderr = lines(await read("stderr"));
  // A signal is a negative number there, and what a shell makes of it in an execution.
  const rc = Number(await read("rc"));
  const code = rc < 0 ? 128 - rc : rc;
  return { code, cancelled: false, stdout, stderr, tail: [...stdout, ...stderr] };
}
