/**
 * Draws run.svg for the README: what a terminal shows of a real run of examples/analysis, and the plot it makes.
 *
 *     deno run --allow-all docs/pictures/make.ts
 *
 * Needs the test stack (`scripts/setup.sh`).
 */
import { fromFileUrl, join } from "@std/path";
import { managersWithChannels, sharedCache } from "../../tests/docs/sandbox.ts";
import { startCommand } from "../../tests/e2e/worker_process.ts";
import { stackPaths } from "../../tests/stack/stack.ts";

const COMMAND = "hypha-conda-worker run examples/analysis";
const LINE = 19;
const TOP = 62;
const WIDTH = 1000;
const PLOT = { x: 590, width: 384 };

/** Runs the command; what it saves goes to a directory that is removed. */
async function run(): Promise<{ progress: string[]; output: string[]; plot: Uint8Array }> {
  const directory = await Deno.makeTempDir();
  try {
    const managers = await managersWithChannels(join(directory, "managers"));
    const child = new Deno.Command(stackPaths.deno, {
      args: [
        ...await startCommand(),
        "run",
        "examples/analysis",
        `--output-dir=${directory}`,
        `--cache-dir=${sharedCache}`,
      ],
      cwd: stackPaths.root,
      env: { PATH: `${managers}:${Deno.env.get("PATH")}`, NO_COLOR: "1" },
    });
    const { success, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    const [output, progress] = [stdout, stderr].map((bytes) =>
      decoder.decode(bytes).replaceAll(`${directory}/`, "").replaceAll(`${stackPaths.root}/`, "")
        .trimEnd().split("\n")
    );
    if (!success) throw new Error(progress!.join("\n"));
    return {
      output: output!,
      progress: progress!,
      plot: await Deno.readFile(join(directory, "main-1.png")),
    };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

const { progress, output, plot } = await run();
const lines = [
  `<tspan class="p">$</tspan> ${COMMAND}`,
  ...progress.map((line) => `<tspan class="d">${escape(line)}</tspan>`),
  ...output.map((line) =>
    line.startsWith("[") ? `<tspan class="f">${escape(line)}</tspan>` : escape(line)
  ),
];
const { width, height } = (() => {
  const view = new DataView(plot.buffer);
  return { width: view.getUint32(16), height: view.getUint32(20) };
})();
const plotHeight = Math.round(PLOT.width * height / width);
const bottom = Math.max(TOP + lines.length * LINE, TOP + plotHeight + 10) + 14;
const text = lines.map((line, at) => `<text x="26" y="${TOP + at * LINE}">${line}</text>`);
const svg =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom}" width="${WIDTH}" height="${bottom}" role="img" aria-label="A terminal: ${COMMAND} prints growth rates and saves a plot, which is shown beside it">
<style>text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#e6edf3;white-space:pre}.p{fill:#7ee787}.d{fill:#8b949e}.f{fill:#79c0ff}</style>
<rect width="${WIDTH}" height="${bottom}" rx="10" fill="#0d1117"/>
<circle cx="24" cy="22" r="6" fill="#ff5f57"/><circle cx="44" cy="22" r="6" fill="#febc2e"/><circle cx="64" cy="22" r="6" fill="#28c840"/>
${text.join("\n")}
<image x="${PLOT.x}" y="${
    TOP - 12
  }" width="${PLOT.width}" height="${plotHeight}" href="data:image/png;base64,${plot.toBase64()}"/>
</svg>
`;
await Deno.writeTextFile(join(fromFileUrl(new URL(".", import.meta.url)), "run.svg"), svg);
console.log(`run.svg: ${svg.length} bytes`);
