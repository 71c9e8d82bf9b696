import { assertEquals } from "@std/assert";
import { bar, ProgressLine } from "../../lib/cli/terminal.ts";

/** A progress line and what it wrote. */
function line(terminal: boolean, columns?: number): { progress: ProgressLine; written: string[] } {
  const written: string[] = [];
  const write = (stream: "stdout" | "stderr", text: string) => {
    assertEquals(stream, "stderr", "standard output belongs to the script");
    written.push(text);
  };
  const context = { terminal, write, columns: { stdout: undefined, stderr: columns } };
  return { progress: new ProgressLine(context), written };
}

Deno.test("a bar shows a percentage, within its bounds", () => {
  assertEquals(bar(0), "[------------------------]   0%");
  assertEquals(bar(50), "[############------------]  50%");
  assertEquals(bar(100), "[########################] 100%");
  assertEquals(bar(140), bar(100));
  assertEquals(bar(-5), bar(0));
});

Deno.test("on a terminal one line changes, and is removed for other output", () => {
  const { progress, written } = line(true);
  progress.show({ type: "info", message: "Solving" });
  progress.show({ type: "info", message: "Linking", percent: 50 });
  progress.clear();
  progress.clear();
  assertEquals(written, ["\r\x1b[2KSolving", `\r\x1b[2K${bar(50)} Linking`, "\r\x1b[2K"]);
});

Deno.test("a long message does not wrap, which could not be removed again", () => {
  const { progress, written } = line(true);
  progress.show({ type: "info", message: "x".repeat(500) });
  assertEquals(written[0]!.length, "\r\x1b[2K".length + 100);
  const narrow = line(true, 60);
  narrow.progress.show({ type: "info", message: "x".repeat(500) });
  assertEquals(narrow.written[0]!.length, "\r\x1b[2K".length + 59);
});

Deno.test("elsewhere each step is a plain line, once", () => {
  const { progress, written } = line(false);
  progress.show({ type: "info", message: "Solving" });
  progress.show({ type: "info", message: "Downloading", percent: 1 });
  progress.show({ type: "info", message: "Downloading", percent: 2 });
  progress.clear();
  assertEquals(written, ["Solving\n", "Downloading\n"]);
});

Deno.test("warnings and errors stay", () => {
  const { progress, written } = line(true);
  progress.show({ type: "info", message: "Solving" });
  progress.show({ type: "warning", message: "slow" });
  assertEquals(written, ["\r\x1b[2KSolving", "\r\x1b[2K", "warning: slow\n"]);
});
