/** The real nbformat and nbconvert from PyPI: a virtual environment that is made once and reused. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { FileLock } from "../../lib/environments/lock.ts";
import { requireStack, stackPaths } from "../stack/stack.ts";

const PREFIX = join(stackPaths.tools, "jupyter-env");

/** Path of the environment's Python; the first call makes the environment. */
export async function jupyterPython(): Promise<string> {
  requireStack();
  const requirements = new URL("jupyter.txt", import.meta.url).pathname;
  const python = join(PREFIX, "bin", "python");
  const stamp = `${PREFIX}.stamp`;
  const wanted = await Deno.readTextFile(requirements);
  // Groups of tests run side by side.
  using _lock = await FileLock.wait(`${PREFIX}.lock`, "exclusive");
  if (await Deno.readTextFile(stamp).catch(() => "") === wanted) return python;
  await Deno.remove(PREFIX, { recursive: true }).catch(() => {});
  try {
    await makeByUv(python, requirements);
  } catch {
    // It is not there, or does not reach the index that pip is set up for.
    await Deno.remove(PREFIX, { recursive: true }).catch(() => {});
    await run(stackPaths.hyphaPython, ["-m", "venv", PREFIX]);
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"];
    await run(python, ["-m", "pip", "install", ...quiet, "-r", requirements]);
  }
  await Deno.writeTextFile(stamp, wanted);
  return python;
}

async function makeByUv(python: string, requirements: string): Promise<void> {
  const uv = join(stackPaths.tools, "uv", "bin", "uv");
  await run(uv, ["venv", "--quiet", "--python", stackPaths.hyphaPython, PREFIX]);
  await run(uv, ["pip", "install", "--quiet", "--no-deps", "--python", python, "-r", requirements]);
}

async function run(command: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, {
    args,
    env: { UV_CACHE_DIR: join(stackPaths.tools, "cache", "uv"), UV_PYTHON_DOWNLOADS: "never" },
  }).output();
  if (success) return;
  throw new Error(`Cannot make ${PREFIX}:\n${new TextDecoder().decode(stderr)}`);
}

/** Runs a program of Python in that environment and gives what it prints. Fails when the program fails. */
export async function jupyter(code: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(await jupyterPython(), {
    args: ["-c", code, ...args],
    env: { PYTHONDONTWRITEBYTECODE: "", JUPYTER_PLATFORM_DIRS: "1" },
  }).output();
  assertEquals([success, new TextDecoder().decode(stderr)], [true, ""]);
  return new TextDecoder().decode(stdout);
}

/** Fails unless the real nbformat finds a notebook of format 4.5 in a file, with nothing to complain of. */
export async function assertValid(path: string): Promise<void> {
  const code = `
import pathlib, sys, warnings
import nbformat
warnings.simplefilter("error")
text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5), notebook.nbformat_minor
nbformat.validate(notebook)
`;
  assertEquals(await jupyter(code, path), "");
}
