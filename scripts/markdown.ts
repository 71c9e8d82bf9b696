/** Writing documents from tables. */

/** Formats as `deno fmt` does, so that its check holds. `cwd` decides which configuration counts. */
export async function format(markdown: string, cwd: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", "--ext", "md", "-"],
    cwd,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(markdown));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("Cannot format the document");
  return new TextDecoder().decode(stdout);
}
